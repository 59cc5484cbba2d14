/** The project as the compiler sees it, for checks of the sources that a linter has no rule for. Needs Node: see `findings.ts`. */
import { relative } from "node:path";
import { API, type Checker } from "typescript/unstable/sync";
import type { SourceFile } from "typescript/unstable/ast";

/** One file of a project. */
export interface CheckedFile {
  /** Its path from the project's folder. */
  readonly file: string;
  readonly source: SourceFile;
  readonly checker: Checker;
}

/** Gives `check` the files of the project at `root` that `covered` names, one after the other. */
export function checkFiles<T>(
  root: string,
  config: string,
  covered: (file: string) => boolean,
  check: (file: CheckedFile) => readonly T[],
): readonly T[] {
  const api = new API({ cwd: root });
  try {
    const project = api.updateSnapshot({ openProjects: [config] }).getProject(config);
    if (project === undefined) throw new Error(`${config} is no project`);
    const { program, checker } = project;
    return program.getSourceFileNames().flatMap((path) => {
      const file = relative(root, path).replaceAll("\\", "/");
      if (!covered(file)) return [];
      const source = program.getSourceFile(path);
      if (source === undefined) throw new Error(`${file} can't be read`);
      return check({ file, source, checker });
    });
  } finally {
    api.close();
  }
}
