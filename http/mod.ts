/** HTTP for both runtimes: the listeners of all programs. */
export * from "./types.ts";
export { listen } from "./serve/listener.ts";
