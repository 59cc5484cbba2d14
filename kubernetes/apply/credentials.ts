/**
 * What proves to an API server who we are, and to us who it is: read from files and asked of plugins as a kubeconfig's entries say.
 * Every error names the file in which the entry stands.
 */
import { isIP } from "node:net";
import { dirname, isAbsolute, resolve } from "node:path";
import { checkServerIdentity, createSecureContext, type PeerCertificate } from "node:tls";
import { readBounded } from "../../program/apply/bounded_file.ts";
import { certificatesIn } from "../../program/apply/certificates.ts";
import { looseText } from "../../program/types/decoded_text.ts";
import { ENCRYPTED_KEY, isEncryptedKey } from "../../program/types/encrypted_key.ts";
import { impersonationHeaders } from "../render/impersonation.ts";
import type { ClusterEntry } from "../types/kubeconfig.ts";
import { type ExecEntry, isToken, NO_TOKEN, type UserEntry } from "../types/kubeconfig_user.ts";
import { entryName, KubeconfigError } from "../types/kubeconfig_fields.ts";
import { type ExecCredential, pluginName, runExecPlugin } from "./exec_credentials.ts";

/** A cluster and who we are to it, each with the file that says so. */
export type Identity = {
  /** The server's whole URL, without what stands behind its path: that is for nobody (client-go, `DefaultServerURL`). */
  readonly server: string;
  readonly cluster: ClusterEntry;
  readonly clusterFile: string;
  readonly user: UserEntry;
  readonly userName: string;
  readonly userFile: string;
};

/** What authenticates a request, and how its connection is made. */
export type Credentials = {
  /** A header with several values stands once for each. */
  readonly headers: Readonly<Record<string, string | readonly string[]>>;
  readonly tls: {
    readonly ca?: string;
    readonly cert?: string;
    readonly key?: string;
    readonly servername?: string;
    readonly checkServerIdentity?: (host: string, certificate: PeerCertificate) => Error | undefined;
    readonly rejectUnauthorized: boolean;
  };
  /** Milliseconds since the epoch after which they are to be asked for anew; undefined: they say nothing of it. */
  readonly expiresAt?: number | undefined;
};

const decoded = (base64: string): string => Buffer.from(base64, "base64").toString("utf8");

/**
 * Whether what stands in a path's place looks like one. Otherwise it may be the key or the token itself, which somebody wrote into the
 * field of the file.
 */
const looksLikePath = (path: string): boolean =>
  // deno-lint-ignore no-control-regex
  path.length <= 300 && !/[\0-\x1f]|-----BEGIN/.test(path) &&
  (isAbsolute(path) || /^[.~]{1,2}[/\\]|^[a-z._/\\-]{1,24}$|\.[a-z]{2,6}$/i.test(path));

/** A file that an entry names, relative to the file in which the entry stands. */
async function fileText(path: string, of: string, field: string): Promise<string> {
  const absolute = isAbsolute(path) ? path : resolve(dirname(of), path);
  try {
    return looseText(await readBounded(absolute));
  } catch (error) {
    const { code = "too large" } = error as NodeJS.ErrnoException;
    throw new KubeconfigError(
      looksLikePath(path)
        ? `the kubeconfig ${of}: ${field} names ${absolute}, which cannot be read (${code})`
        : `the kubeconfig ${of}: ${field} names no file that can be read (${code}; what it names is not shown, as it may be a ` +
          `secret): give a file's path, or its content in ${
            field === "tokenFile" ? "token" : `${field}-data`
          }`,
    );
  }
}

/** What an entry gives as data, or as a file's path. */
async function dataOrFile(
  data: string | undefined,
  path: string | undefined,
  of: string,
  field: string,
): Promise<string | undefined> {
  if (data !== undefined) return decoded(data);
  return path === undefined ? undefined : await fileText(path, of, field);
}

/** A program's path, if it has one, is relative to the file; a bare name is looked up in PATH. */
const commandOf = (command: string, of: string): string =>
  /[/\\]/.test(command) && !isAbsolute(command) ? resolve(dirname(of), command) : command;

/** A plugin's answer is asked for anew this long before it expires, milliseconds. */
const EXPIRY_MARGIN_MS = 10_000;

function expired(answered: ExecCredential | undefined): boolean {
  return answered === undefined || (answered.expiresAt ?? Infinity) < Date.now() + EXPIRY_MARGIN_MS;
}

/**
 * The certificates of an authority, without what stands around them: runtimes pass over what they can't read (a block behind a byte
 * order mark), and then trust others.
 */
function authority(pem: string, of: string, field: string): string {
  const { certificates } = certificatesIn(pem);
  if (certificates.length > 0) return `${certificates.join("\n")}\n`;
  throw new KubeconfigError(`the kubeconfig ${of}: ${field} holds no certificate in PEM that can be read`);
}

/** A client's certificate and key, checked to belong together; `what` names them. */
function checkPair(cert: string, key: string, what: string): void {
  try {
    createSecureContext({ cert, key });
  } catch {
    const encrypted = isEncryptedKey(key) ? `: the key ${ENCRYPTED_KEY}` : "";
    throw new KubeconfigError(
      `${what}: the client certificate and its key are no pair in PEM that can be read${encrypted}`,
    );
  }
}

/** By which name a certificate is checked; an address is not sent, as TLS knows no addresses there. */
function serverName(given: string | undefined): Partial<Credentials["tls"]> {
  if (given === undefined) return {};
  const name = given.replace(/^\[(.*)\]$/, "$1");
  if (isIP(name) === 0) return { servername: name };
  return {
    servername: "",
    checkServerIdentity: (_host, certificate) => checkServerIdentity(name, certificate),
  };
}

/** An authority as the file has it, which plugins are told, and the certificates in it. */
type Authority = { readonly pem: string; readonly certificates: string };

/** The authority that an API server's certificate must be of; undefined: one that the runtime trusts. */
async function authorityOf({ cluster, clusterFile }: Identity): Promise<Authority | undefined> {
  const field = "certificate-authority";
  const { certificateAuthorityData: data, certificateAuthority: path } = cluster;
  const pem = await dataOrFile(data, path, clusterFile, field);
  return pem === undefined ? undefined : { pem, certificates: authority(pem, clusterFile, field) };
}

const hasCertificate = ({ clientCertificateData, clientCertificate }: UserEntry): boolean =>
  (clientCertificateData ?? clientCertificate) !== undefined;

type ClientPair = { readonly cert?: string | undefined; readonly key?: string | undefined };

/** The certificate and key of the user's entry; none where it has none. */
async function clientPairOf({ user, userName, userFile }: Identity): Promise<ClientPair | undefined> {
  if (!hasCertificate(user)) return undefined;
  const { clientCertificateData, clientCertificate, clientKeyData, clientKey } = user;
  const cert = await dataOrFile(clientCertificateData, clientCertificate, userFile, "client-certificate");
  const key = await dataOrFile(clientKeyData, clientKey, userFile, "client-key");
  checkPair(cert ?? "", key ?? "", `the kubeconfig ${userFile}: ${entryName("user", userName)}`);
  return { cert, key };
}

async function askPlugin(
  exec: ExecEntry,
  { cluster, userName, userFile }: Identity,
  ca: string | undefined,
): Promise<ExecCredential> {
  const caData = ca === undefined ? undefined : Buffer.from(ca).toString("base64");
  const answered = await runExecPlugin(exec, commandOf(exec.command, userFile), userName, cluster, caData);
  const { certificate, key } = answered;
  if (certificate !== undefined && key !== undefined) {
    checkPair(certificate, key, pluginName(exec.command, userName));
  }
  return answered;
}

/** Reads the user's token: a file each time; when it can't be, what was known last is used, as client-go does. */
function tokenReader({ user, userFile }: Identity): () => Promise<string | undefined> {
  const { token, tokenFile } = user;
  if (tokenFile === undefined) return () => Promise.resolve(token);
  let last = token;
  return async () => {
    try {
      const found = (await fileText(tokenFile, userFile, "tokenFile")).trim();
      if (found === "") {
        throw new KubeconfigError(`the kubeconfig ${userFile}: tokenFile names an empty file`);
      }
      if (!isToken(found)) {
        throw new KubeconfigError(
          `the kubeconfig ${userFile}: tokenFile names a file that holds ${NO_TOKEN}`,
        );
      }
      last = found;
    } catch (error) {
      if (last === undefined) throw error;
    }
    return last;
  };
}

function authorization(token: string | undefined, { username, password }: UserEntry): Credentials["headers"] {
  if (token !== undefined) return { Authorization: `Bearer ${token}` };
  if (username === undefined) return {};
  const login = Buffer.from(`${username}:${password ?? ""}`).toString("base64");
  return { Authorization: `Basic ${login}` };
}

/** Gives the credentials of a user, with what its plugin answered for as long as it holds; `refused`: they were taken for nobody's. */
export function credentialsOf(identity: Identity): (refused?: boolean) => Promise<Credentials> {
  const { server, cluster, user } = identity;
  const secure = server.startsWith("https:");
  const readToken = tokenReader(identity);
  // A plugin is asked only where nothing else says who we are (client-go, `exec.Authenticator.UpdateTransportConfig`).
  const exec = hasCertificate(user) || (user.token ?? user.tokenFile ?? user.username) !== undefined
    ? undefined
    : user.exec;
  let answered: ExecCredential | undefined;
  return async (refused = false) => {
    // Nothing that proves who we are is sent in the clear: a server of plain HTTP (`kubectl proxy`) knows us otherwise.
    if (!secure) return { headers: impersonationHeaders(user), tls: { rejectUnauthorized: true } };
    if (refused) answered = undefined;
    const ca = await authorityOf(identity);
    if (exec !== undefined && expired(answered)) answered = await askPlugin(exec, identity, ca?.pem);
    const token = await readToken() ?? answered?.token;
    const { cert, key } = await clientPairOf(identity) ?? { cert: answered?.certificate, key: answered?.key };
    return {
      headers: { ...authorization(token, user), ...impersonationHeaders(user) },
      tls: {
        ...(ca === undefined ? {} : { ca: ca.certificates }),
        ...(cert === undefined ? {} : { cert }),
        ...(key === undefined ? {} : { key }),
        ...serverName(cluster.tlsServerName),
        rejectUnauthorized: !cluster.insecureSkipTlsVerify,
      },
      expiresAt: answered?.expiresAt,
    };
  };
}
