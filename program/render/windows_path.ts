/** Paths as Windows writes them, on other systems. */

/**
 * What to do about a path that was not found, where it is one of Windows and this is another system; undefined otherwise.
 * `platform` is `process.platform`.
 */
export function windowsPathHint(path: string, platform: string | undefined): string | undefined {
  if (platform === "win32" || !/^(file:\/\/)?\/?[A-Za-z]:[\\/]|^[^/:]*\\/.test(path)) return undefined;
  return "that is a path of Windows: write it as this system does, with / (in WSL, C:\\ is /mnt/c/)";
}
