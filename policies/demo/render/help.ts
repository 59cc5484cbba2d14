/** What `--help` says before the policy server's own flags. */
export const HELP =
  `Serves sample policies for a first look, with free ports and a certificate made for this run

Usage: portreeve [--open] [FLAGS OF THE POLICY SERVER]

      --open
          Show two requests and their answers in the browser ($BROWSER, or the system's)

Logs are shown when a --log-level is given. Every flag of the policy server holds here too; these have other
defaults: --addr 127.0.0.1, --port 8443 (the next free one), --readiness-probe-port 8081 (the next free one),
--policies, --cert-file and --key-file: the samples and a certificate, in a folder of this run. With --policies
alone, yours are served over plain HTTP.

The policy server itself: `;
