/** Where each command lives; it is loaded only when it is called. */
import type { Run } from "../types/command.ts";

type Loader = () => Promise<{ readonly run: Run }>;

/** By the command's words, joined by a blank. */
export const LOADERS: Readonly<Record<string, Loader>> = {
  annotate: () => import("./annotate.ts"),
  bench: () => import("./bench.ts"),
  build: () => import("./build.ts"),
  completions: () => import("./completions.ts"),
  digest: () => import("./digest.ts"),
  docs: () => import("./docs.ts"),
  explain: () => import("./explain.ts"),
  info: () => import("./info.ts"),
  inspect: () => import("./inspect.ts"),
  load: () => import("./load.ts"),
  new: () => import("./new.ts"),
  policies: () => import("./policies.ts"),
  pull: () => import("./pull.ts"),
  push: () => import("./push.ts"),
  rm: () => import("./rm.ts"),
  run: () => import("./run.ts"),
  save: () => import("./save.ts"),
  "scaffold admission-request": () => import("./scaffold_admission_request.ts"),
  "scaffold artifacthub": () => import("./scaffold_artifacthub.ts"),
  "scaffold manifest": () => import("./scaffold_manifest.ts"),
  "scaffold vap": () => import("./scaffold_vap.ts"),
  "scaffold verification-config": () => import("./scaffold_verification_config.ts"),
  test: () => import("./test.ts"),
  verify: () => import("./verify.ts"),
};
