/** Opens a page in the browser of whoever runs this. */
import { spawn } from "node:child_process";
import process from "node:process";

/** The command that opens what is named behind it. */
function opener(): readonly [command: string, ...words: string[]] {
  const browser = process.env["BROWSER"];
  if (browser !== undefined && browser !== "") return [browser];
  switch (process.platform) {
    case "darwin":
      return ["open"];
    case "win32":
      return ["explorer"];
    default:
      return ["xdg-open"];
  }
}

/** Whether the browser could be started. It is not waited for. */
export function openBrowser(url: string): Promise<boolean> {
  const [command, ...words] = opener();
  return new Promise((resolve) => {
    const browser = spawn(command, [...words, url], { stdio: "ignore", detached: true });
    browser.once("error", () => resolve(false));
    browser.once("spawn", () => {
      browser.unref();
      resolve(true);
    });
  });
}
