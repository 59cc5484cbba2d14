/**
 * Whether a URL lies below another one. A text comparison is not enough: `https://github.com/kubewarden/../evil/x` begins with
 * `https://github.com/kubewarden/`.
 */

/** What has to be said twice to be understood once: servers disagree on what such a path means. */
const AMBIGUOUS = /\/\/|%2e|%2f|%5c|%00|\\/i;

/** The URL in its one spelling; `undefined` for what is no URL with a host, or for one that servers read in several ways. */
function unambiguous(text: string): URL | undefined {
  let url: URL;
  try {
    url = new URL(text);
  } catch {
    return undefined;
  }
  // As it was written: the parser turns backslashes into slashes and resolves dots, encoded ones included.
  const [, authority = "", written = ""] = /^[A-Za-z][A-Za-z0-9+.-]*:\/\/([^/?#\\]+)([^?#]*)/.exec(text) ??
    [];
  if (authority === "" || url.host === "" || url.username !== "" || url.password !== "") return undefined;
  // The parser drops tabs and line breaks anywhere, and decodes hosts.
  // deno-lint-ignore no-control-regex
  if (authority.includes("%") || /[\s\u0000-\u001f\u007f]/.test(text)) return undefined;
  if (AMBIGUOUS.test(written) || written.split("/").some((segment) => segment === "." || segment === "..")) {
    return undefined;
  }
  return url;
}

/**
 * A prefix in its one spelling: lower-case host, no default port, `/` at the end, so that it never ends in the middle of a
 * name. Or the reason why it can be none.
 */
export function normalisedPrefix(text: string): string | { readonly reason: string } {
  if (!URL.canParse(text)) return { reason: "expected a URL such as https://github.com/OWNER" };
  const url = unambiguous(text.trim());
  if (url === undefined) {
    return {
      reason: "expected a URL with a host, and without a user name, `.`, `..` or empty path segments, " +
        "and encoded dots or slashes",
    };
  }
  if (url.search !== "" || url.hash !== "" || /[?#]/.test(text)) {
    return { reason: "expected a URL without query and fragment" };
  }
  if (!url.pathname.endsWith("/")) url.pathname = `${url.pathname}/`;
  return url.href;
}

/** Whether `text` lies below a {@link normalisedPrefix}; what can be read in more than one way lies nowhere. */
export function isBelow(text: string, prefix: string): boolean {
  const url = unambiguous(text);
  if (url === undefined) return false;
  const base = new URL(prefix);
  return url.protocol === base.protocol && url.host === base.host && url.pathname.startsWith(base.pathname);
}
