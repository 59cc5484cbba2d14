/** Where the command line answers otherwise than kwctl 1.36 on purpose: the replay allows these and nothing else. */

export interface Difference {
  readonly instead: { readonly exit?: number; readonly stdout?: string; readonly stderr?: string };
  readonly reason: string;
}

const WRONG_MODE =
  "The policy has not been created with Rego, the policy execution mode specified via CLI flag is wrong";

/** By the words of the command line. */
export const DELIBERATE: Readonly<Record<string, Difference>> = {
  "run plain.wasm -e kubewarden-wapc -r ok.json": {
    instead: {
      exit: 0,
      stdout: '{"uid":"u-1","allowed":true,"auditAnnotations":null,"warnings":["w"]}\n',
      stderr: "",
    },
    reason: "spec/cli.md, sharp edge 3: both spellings of the mode are accepted; in 1.36 neither works",
  },
  "run plain.wasm -e opa -r ok.json": {
    instead: { stderr: `Error: ${WRONG_MODE}` },
    reason: "spec/cli.md, sharp edge 4: the mode is compared with the module before it is run",
  },
};
