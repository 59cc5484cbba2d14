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

/** A browser that runs for so long has opened the page. */
const RUNNING_MS = 5000;
/** Its exit code is 1 also when it has opened something. */
const WITHOUT_CODE = "explorer";

/** Whether the browser was started and has not said that it could not open the page. */
export function openBrowser(url: string): Promise<boolean> {
  const [command, ...words] = opener();
  return new Promise((resolve) => {
    const browser = spawn(command, [...words, url], { stdio: "ignore", detached: true });
    const running = setTimeout(() => resolve(true), RUNNING_MS);
    browser.once("error", () => {
      clearTimeout(running);
      resolve(false);
    });
    browser.once("exit", (code) => {
      clearTimeout(running);
      resolve(code === 0 || command === WITHOUT_CODE);
    });
    browser.unref();
  });
}
