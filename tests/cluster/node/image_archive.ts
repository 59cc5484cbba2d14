/** Images for the node, as archives that containerd imports: no registry holds what only tests need. */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createLayer, type Entry } from "../../../deploy/images/layer.ts";
import { writeLayout } from "../../../deploy/images/oci_layout.ts";
import { run } from "./shell.ts";

/** Hands an OCI layout's images to containerd, for pods. */
export function importLayout(socket: string, layout: string): void {
  const folder = mkdtempSync(join(tmpdir(), "portreeve-image-"));
  try {
    const archive = join(folder, "image.tar");
    run("tar", ["-cf", archive, "-C", layout, "."]);
    run("ctr", [
      "--address",
      socket,
      "-n",
      "k8s.io",
      "images",
      "import",
      "--platform",
      "linux/amd64",
      archive,
    ]);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** An image of busybox alone, whose programs are there by their names. */
export async function importBusybox(
  socket: string,
  reference: string,
  command: readonly string[],
): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "portreeve-busybox-"));
  try {
    const programs = run("busybox", ["--list"]).trim().split("\n").filter((name) => name !== "busybox");
    const entries: Entry[] = [
      { kind: "file", path: "bin/busybox", mode: 0o755, content: readFileSync("/bin/busybox") },
      ...programs.map((name): Entry => ({ kind: "link", path: `bin/${name}`, target: "busybox" })),
      { kind: "folder", path: "tmp", mode: 0o1777 },
    ];
    const layer = await createLayer(entries);
    const config = { Cmd: command, Env: ["PATH=/bin"], User: "65534:65534" };
    writeLayout(
      folder,
      reference,
      [{ architecture: "amd64", layers: [layer], config, annotations: {} }],
      "1970-01-01T00:00:00Z",
    );
    importLayout(socket, folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
