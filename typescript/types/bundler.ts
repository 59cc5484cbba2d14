/** What is used of esbuild, which its users install beside this package: `npm install --save-dev esbuild`. */

export interface BundlerMessage {
  readonly text: string;
  readonly location: {
    readonly file: string;
    readonly line: number;
    readonly column: number;
    readonly lineText: string;
  } | null;
}

export interface BundlerResult {
  readonly outputFiles?: readonly { readonly path: string; readonly text: string }[];
  readonly metafile?: { readonly inputs: Readonly<Record<string, unknown>> };
  readonly warnings: readonly BundlerMessage[];
}

export interface BundlerResolved {
  readonly path?: string;
  readonly namespace?: string;
  readonly errors?: readonly { readonly text: string }[];
}

export interface BundlerPlugin {
  readonly name: string;
  readonly setup: (build: {
    readonly onResolve: (
      options: { readonly filter: RegExp },
      resolve: (words: { readonly path: string; readonly importer: string }) => BundlerResolved | undefined,
    ) => void;
  }) => void;
}

export interface Bundler {
  readonly build: (options: Readonly<Record<string, unknown>>) => Promise<BundlerResult>;
}
