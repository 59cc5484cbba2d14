/**
 * Logins as docker, podman and the kubelet keep and read them. Sources: docker/cli `config/credentials` (host names of keys, helpers),
 * containers/image `docker/config` (longest path, `auth.json`, `REGISTRY_AUTH_FILE`), kubernetes `pkg/credentialprovider` (globs, paths,
 * ports). Each row: the file, the image, and the user that is logged in.
 */
import { chmod, mkdir, readFile, writeFile } from "node:fs/promises";
import { dirname, join, relative } from "node:path";
import process from "node:process";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { findCredentials, loginFiles } from "../../artifact/apply/docker_credentials.ts";
import { authsFor, credentialsOf, parseDockerConfig } from "../../artifact/types/docker_config.ts";
import { inDirectory, listening } from "./_setting.ts";

const login = (user: string) => ({ auth: btoa(`${user}:secret`) });
const HUB = "docker.io";

/** [what, keys of `auths` in the order of the file, registry, repository, the user]. */
const AUTHS: readonly (readonly [string, readonly string[], string, string, string | undefined])[] = [
  ["the host", ["h.test"], "h.test", "a/b", "h.test"],
  ["the host with a slash", ["h.test/"], "h.test", "a/b", "h.test/"],
  ["as old clients wrote it", ["https://h.test/v1/"], "h.test", "a/b", "https://h.test/v1/"],
  ["without a scheme", ["h.test/v2/"], "h.test", "a/b", "h.test/v2/"],
  ["https and its port", ["https://h.test:443"], "h.test", "a/b", "https://h.test:443"],
  ["upper case", ["H.Test"], "h.test", "a/b", "H.Test"],
  ["a port", ["h.test:5000"], "h.test:5000", "a/b", "h.test:5000"],
  ["another port", ["h.test:5000"], "h.test:5001", "a/b", undefined],
  ["a port where none is asked for", ["h.test:5000"], "h.test", "a/b", undefined],
  ["no port where one is asked for", ["h.test"], "h.test:5000", "a/b", undefined],
  ["a path", ["h.test/team"], "h.test", "team/policy", "h.test/team"],
  ["another path", ["h.test/team"], "h.test", "other/policy", undefined],
  ["half of a path's segment", ["h.test/te"], "h.test", "team/policy", undefined],
  ["the whole repository", ["h.test/team/policy"], "h.test", "team/policy", "h.test/team/policy"],
  [
    "the longest path, last",
    ["h.test", "h.test/team", "h.test/team/policy"],
    "h.test",
    "team/policy",
    "h.test/team/policy",
  ],
  [
    "the longest path, first",
    ["h.test/team/policy", "h.test/team", "h.test"],
    "h.test",
    "team/policy",
    "h.test/team/policy",
  ],
  ["the host for other paths", ["h.test/team", "h.test"], "h.test", "other/policy", "h.test"],
  [
    "a longer path than the repository's",
    ["h.test/team/policy/x", "h.test"],
    "h.test",
    "team/policy",
    "h.test",
  ],
  ["a path with a scheme", ["https://h.test/team/"], "h.test", "team/policy", "https://h.test/team/"],
  ["a glob", ["*.azurecr.io"], "mine.azurecr.io", "a/b", "*.azurecr.io"],
  ["a glob is for one label", ["*.azurecr.io"], "a.b.azurecr.io", "a/b", undefined],
  ["a glob within a label", ["reg-*.h.test"], "reg-7.h.test", "a/b", "reg-*.h.test"],
  ["a question mark", ["reg?.h.test"], "reg7.h.test", "a/b", "reg?.h.test"],
  ["a glob and a port", ["*.h.test:5000"], "a.h.test:5000", "a/b", "*.h.test:5000"],
  ["a glob and another port", ["*.h.test:5000"], "a.h.test", "a/b", undefined],
  ["a host before a glob", ["*.h.test", "a.h.test"], "a.h.test", "a/b", "a.h.test"],
  ["a glob with a path before a host", ["a.h.test", "*.h.test/a"], "a.h.test", "a/b", "*.h.test/a"],
  ["no expression but a glob", ["h.test", ".*"], "x.test", "a/b", undefined],
  [
    "Docker Hub as docker login writes it",
    ["https://index.docker.io/v1/"],
    HUB,
    "a/b",
    "https://index.docker.io/v1/",
  ],
  ["Docker Hub by its name", ["docker.io"], HUB, "library/busybox", "docker.io"],
  ["Docker Hub by its registry", ["registry-1.docker.io"], HUB, "a/b", "registry-1.docker.io"],
  ["one team of Docker Hub", ["docker.io", "docker.io/a"], HUB, "a/b", "docker.io/a"],
  // The kubelet leaves the interface's address out of a key (`ReadDockerConfigFile`, `/v2/` and `/v1/`).
  ["the interface and a path", ["https://h.test/v2/team"], "h.test", "team/policy", "https://h.test/v2/team"],
  ["the interface and another path", ["https://h.test/v1/team/"], "h.test", "other/policy", undefined],
  [
    "a team that is called as the interface",
    ["h.test/v2/team"],
    "h.test",
    "v2/team/policy",
    "h.test/v2/team",
  ],
  [
    "the interface and a path before the host",
    ["h.test", "h.test/v2/team"],
    "h.test",
    "team/policy",
    "h.test/v2/team",
  ],
  // Docker Desktop keeps these beside the login.
  [
    "tokens of Docker Desktop beside",
    [
      "https://index.docker.io/v1/access-token",
      "https://index.docker.io/v1/",
      "https://index.docker.io/v1/refresh-token",
    ],
    HUB,
    "a/b",
    "https://index.docker.io/v1/",
  ],
  [
    "Docker Hub by its newer interface",
    ["https://index.docker.io/v2/"],
    HUB,
    "a/b",
    "https://index.docker.io/v2/",
  ],
  ["Docker Hub by its web site", ["https://hub.docker.com"], HUB, "a/b", undefined],
  ["http and a port", ["http://h.test:5000/v2/"], "h.test:5000", "a/b", "http://h.test:5000/v2/"],
  ["http and its port", ["http://h.test:80"], "h.test", "a/b", undefined],
  ["two spellings of a host: its own name", ["https://h.test", "h.test"], "h.test", "a/b", "h.test"],
  ["an address of version 6", ["[::1]:5000"], "[::1]:5000", "a/b", "[::1]:5000"],
  ["a blank behind", ["h.test "], "h.test", "a/b", undefined],
  ["a repository with its tag", ["h.test/team/policy:v1"], "h.test", "team/policy", undefined],
  ["a host that only begins alike", ["h.test"], "h.test.evil", "a/b", undefined],
  ["names that objects inherit", ["h.test"], "constructor", "a/b", undefined],
];

test("which entry of auths holds for an image", () => {
  for (const [what, keys, registry, repository, expected] of AUTHS) {
    const config = parseDockerConfig(
      JSON.stringify({ auths: Object.fromEntries(keys.map((key) => [key, login("u")])) }),
    );
    assert.is(authsFor(config, registry, repository)[0]?.key, expected, what);
  }
});

/** Finds a login in a file, with helpers on the path: `good` answers, `empty` has nothing, `failing` fails, `chatty` prints no JSON. */
async function find(config: unknown, registry = "h.test", repository = "team/policy") {
  return await inDirectory(async (directory) => {
    const helper = async (name: string, script: string) => {
      const path = join(directory, `docker-credential-${name}`);
      await writeFile(path, `#!/bin/sh\n${script}\n`);
      await chmod(path, 0o755);
    };
    await helper(
      "good",
      `read -r server; echo "{\\"Username\\": \\"for $server\\", \\"Secret\\": \\"s3cret\\"}"`,
    );
    await helper("token", `echo '{"Username": "<token>", "Secret": "s3cret"}'`);
    await helper("empty", `echo '{"Username": "", "Secret": ""}'`);
    await helper("missing", `echo "credentials not found in native keychain"; exit 1`);
    await helper("failing", `echo "s3cret" >&2; exit 2`);
    await helper("chatty", `echo "s3cret"`);
    // What the hub's own name is asked for gives nothing: some helpers only know the other one.
    await helper("hub", `read -r s; [ "$s" = docker.io ] && echo '{"Username":"u","Secret":"p"}' || exit 1`);
    await writeFile(
      join(directory, "config.json"),
      typeof config === "string" || config instanceof Uint8Array ? config : JSON.stringify(config),
    );
    const { options, lines } = listening({
      dockerConfigDir: directory,
      env: { HOME: directory, PATH: `${directory}:/usr/bin:/bin` },
    });
    const { credentials, explanation } = await findCredentials({ registry, repository }, options);
    assert.not.match(`${explanation}\n${lines().join("\n")}`, "s3cret", "secrets are never told");
    return credentials.kind === "basic" ? credentials.username : credentials.kind;
  });
}

test("what an entry says", async () => {
  const rows: readonly (readonly [string, unknown, string])[] = [
    ["auth", { auths: { "h.test": login("u") } }, "u"],
    ["auth without padding", { auths: { "h.test": { auth: btoa("us:p").replace(/=+$/, "") } } }, "us"],
    ["a password with colons", { auths: { "h.test": { auth: btoa("u:a:b") } } }, "u"],
    ["username and password", { auths: { "h.test": { username: "u", password: "p" } } }, "u"],
    [
      "auth beside another username",
      { auths: { "h.test": { ...login("u"), username: "x", password: "y" } } },
      "u",
    ],
    ["auth beside null", { auths: { "h.test": { ...login("u"), username: null, password: null } } }, "u"],
    ["an identity token", { auths: { "h.test": { ...login("u"), identitytoken: "t" } } }, "identity_token"],
    // Sent as it is (docker/cli `AuthConfig.RegistryToken`).
    ["a token of the registry", { auths: { "h.test": { registrytoken: "t" } } }, "registry_token"],
    [
      "a token of the registry before a login",
      { auths: { "h.test": { ...login("u"), registrytoken: "t", identitytoken: "i" } } },
      "registry_token",
    ],
    [
      "a token of the registry, no store is asked",
      { auths: { "h.test": { registrytoken: "t" } }, credsStore: "good" },
      "registry_token",
    ],
    ["a token of the registry with a line's end in it", {
      auths: { "h.test/team": { registrytoken: "s3cret\r\nX: y" }, "h.test": login("u") },
    }, "u"],
    ["auth in several lines", {
      auths: { "h.test": { auth: `${btoa("u:s3cret").slice(0, 4)}\n${btoa("u:s3cret").slice(4)}\n` } },
    }, "u"],
    ["auth of a user alone, as cosign login without a password writes it", {
      auths: { "h.test": { auth: btoa("u\n") } },
    }, "anonymous"],
    ["an empty password", { auths: { "h.test": { auth: btoa("u:") } } }, "u"],
    ["a password alone", { auths: { "h.test": { password: "p" } } }, "anonymous"],
    [
      "a user alone, a login in the store",
      { auths: { "h.test": { username: "u" } }, credsStore: "good" },
      "for h.test",
    ],
    ["a byte order mark before it", `\uFEFF${JSON.stringify({ auths: { "h.test": login("u") } })}`, "u"],
    ["proxies and headers beside", {
      auths: { "h.test": login("u") },
      proxies: { default: { httpProxy: "http://p.test" } },
      HttpHeaders: { "User-Agent": "x" },
      currentContext: "default",
    }, "u"],
    // Go's reader of JSON, which is docker's, replaces what is not UTF-8.
    [
      "a member in another encoding beside",
      Buffer.from(JSON.stringify({ detachKeys: "caf\u00e9", auths: { "h.test": login("u") } }), "latin1"),
      "u",
    ],
    ["UTF-16", Buffer.from(`\uFEFF${JSON.stringify({ auths: { "h.test": login("u") } })}`, "utf16le"), "u"],
    ["the older .dockercfg", { "h.test": login("u") }, "anonymous"],
    ["an empty identity token", { auths: { "h.test": { ...login("u"), identitytoken: "" } } }, "u"],
    ["a null entry beside", { auths: { "x.test": null, "h.test": login("u") } }, "u"],
    ["entries of other types beside", {
      auths: { "x.test": 7, "y.test": ["a"], "z.test": "b", "h.test": login("u") },
    }, "u"],
    ["an empty entry of the path, a login of the host", {
      auths: { "h.test/team": {}, "h.test": login("u") },
    }, "u"],
    ["no auths", { credsStore: null }, "anonymous"],
    ["auths: null", { auths: null }, "anonymous"],
    ["a null helper beside", {
      credHelpers: { "h.test": null, "x.test": 7 },
      auths: { "h.test": login("u") },
    }, "u"],
    ["an empty helper", { credHelpers: { "h.test": "" }, auths: { "h.test": login("u") } }, "u"],
    ["credHelpers: null", { credHelpers: null, auths: { "h.test": login("u") } }, "u"],
    ["undecodable auth", { auths: { "h.test": { auth: "%%%" } } }, "anonymous"],
    ["undecodable auth of the path, a login of the host", {
      auths: { "h.test/team": { auth: "%%%" }, "h.test": login("u") },
    }, "u"],
    ["auth of the path without a colon, a login of the host", {
      auths: { "h.test": login("u"), "h.test/team": { auth: btoa("s3cret") } },
    }, "u"],
    ["undecodable auth, a login in the store", {
      auths: { "h.test": { auth: "%%%" } },
      credsStore: "good",
    }, "for h.test"],
    ["auths that are a list, a login in the store", { auths: ["a"], credsStore: "good" }, "for h.test"],
    ["auths that are a text, a helper", { auths: "s3cret", credHelpers: { "h.test": "good" } }, "for h.test"],
    ["helpers that are a list, a login", { credHelpers: ["good"], auths: { "h.test": login("u") } }, "u"],
    ["helpers that are a text, a login", { credHelpers: "good", auths: { "h.test": login("u") } }, "u"],
    ["a store that is a map, a login", { credsStore: { a: 1 }, auths: { "h.test": login("u") } }, "u"],
    ["auth without a colon", { auths: { "h.test": { auth: btoa("s3cret") } } }, "anonymous"],
    ["no JSON", "{ s3cret", "anonymous"],
  ];
  for (const [what, config, expected] of rows) assert.is(await find(config), expected, what);
});

test("a password is what the client means: zeros around it are none, and the older file is named", () => {
  const password = (auth: string) => {
    const [found] = authsFor(
      parseDockerConfig(JSON.stringify({ auths: { "h.test": { auth } } })),
      "h.test",
      "a/b",
    );
    const credentials = credentialsOf(found!.auth);
    return credentials?.kind === "basic" ? credentials.password : undefined;
  };
  assert.is(password(btoa("u:p\0\0")), "p");
  assert.is(password(btoa("u:\0p\0q")), "p\0q");
  assert.is(password(btoa("u:a:b")), "a:b");
  assert.match(
    String(parseDockerConfig(JSON.stringify({ "h.test": login("u") })).faults[0]),
    /it has no `auths`, as the older \.dockercfg: put what it holds into `auths`/,
  );
  assert.is(parseDockerConfig("{}").faults.length, 0);
});

test("what helpers answer", async () => {
  const rows: readonly (readonly [string, unknown, string])[] = [
    [
      "the registry's own helper",
      { credHelpers: { "h.test": "good" }, auths: { "h.test": login("u") } },
      "for h.test",
    ],
    ["in another spelling", { credHelpers: { "https://h.test/": "good" } }, "for h.test"],
    ["the store", { credsStore: "good" }, "for h.test"],
    [
      "the store, asked by the name of the login",
      { auths: { "https://h.test/v1/": {} }, credsStore: "good" },
      "for https://h.test/v1/",
    ],
    ["a helper by its program's whole name", { credsStore: "docker-credential-good" }, "anonymous"],
    ["a helper for globs, which docker does not know", {
      credHelpers: { "*.test": "good" },
      auths: { "h.test": login("u") },
    }, "u"],
    ["a helper for a path, which podman does not know", {
      credHelpers: { "h.test/team": "good" },
      auths: { "h.test": login("u") },
    }, "u"],
    ["a token", { credsStore: "token" }, "identity_token"],
    ["an empty answer", { credsStore: "empty" }, "anonymous"],
    ["nothing found", { credsStore: "missing" }, "anonymous"],
    ["a failing one", { credHelpers: { "h.test": "failing" } }, "anonymous"],
    ["a chatty one", { credHelpers: { "h.test": "chatty" } }, "anonymous"],
    ["one that is not there", { credsStore: "absent" }, "anonymous"],
    ["no name of a helper", { credsStore: "../s3cret" }, "anonymous"],
    ["the store fails, another registry's login stays its own", {
      auths: { "x.test": login("u") },
      credsStore: "failing",
    }, "anonymous"],
  ];
  for (const [what, config, expected] of rows) {
    assert.is(await find(config), expected, what);
    assert.not(process.getActiveResourcesInfo().includes("Timeout"), `${what}: a timer holds the process`);
  }
  assert.is(
    await find({ credsStore: "good" }, "docker.io"),
    "for https://index.docker.io/v1/",
    "as docker asks",
  );
  assert.is(
    await find({ credHelpers: { "docker.io": "hub" } }, "docker.io"),
    "u",
    "and by its name, if that gives nothing",
  );
});

test("which files are asked, in which order", async () => {
  await inDirectory(async (directory) => {
    const put = async (path: string, user: string | undefined) => {
      const file = join(directory, path);
      await mkdir(dirname(file), { recursive: true });
      await writeFile(file, JSON.stringify({ auths: user === undefined ? {} : { "h.test": login(user) } }));
      return file;
    };
    const user = async (env: Readonly<Record<string, string>>, dockerConfigDir?: string) => {
      const { options } = listening({
        env: { HOME: join(directory, "home"), ...env },
        ...(dockerConfigDir === undefined ? {} : { dockerConfigDir }),
      });
      const { credentials } = await findCredentials({ registry: "h.test", repository: "a/b" }, options);
      return credentials.kind === "basic" ? credentials.username : credentials.kind;
    };
    const runtime = { XDG_RUNTIME_DIR: join(directory, "run") };
    assert.is(await user({}), "anonymous", "no file at all");
    const variable = (user: string) => JSON.stringify({ auths: { "h.test": login(user) } });
    assert.is(await user({ DOCKER_AUTH_CONFIG: variable("variable") }), "variable");
    assert.is(await user({ DOCKER_AUTH_CONFIG: "" }), "anonymous");
    assert.is(await user({ DOCKER_AUTH_CONFIG: "{" }), "anonymous");
    // containers-auth.json(5): where podman has its logins without a session.
    const uid = process.getuid?.() ?? 0;
    const asked = (env: Readonly<Record<string, string>>) =>
      loginFiles({ env: { HOME: "/home/me", ...env } });
    assert.equal(asked({}), [
      "/home/me/.docker/config.json",
      ...(process.platform === "linux" ? [`/run/containers/${uid}/auth.json`] : []),
      "/home/me/.config/containers/auth.json",
    ]);
    assert.equal(asked({ XDG_RUNTIME_DIR: "/run/user/7" })[1], "/run/user/7/containers/auth.json");
    assert.equal(asked({ DOCKER_CONFIG: "/a" }), ["/a/config.json"]);
    await put("home/.config/containers/auth.json", "podman at home");
    assert.is(await user({}), "podman at home");
    assert.is(await user({ XDG_CONFIG_HOME: join(directory, "config") }), "anonymous");
    await put("run/containers/auth.json", "podman");
    assert.is(await user(runtime), "podman");
    await put("home/.docker/config.json", undefined);
    assert.is(await user(runtime), "podman", "a file without a login for the registry");
    await put("home/.docker/config.json", "docker");
    assert.is(await user(runtime), "docker");
    const file = await put("auth.json", "named");
    assert.is(await user({ ...runtime, REGISTRY_AUTH_FILE: file }), "named");
    const other = dirname(await put("other/config.json", "other"));
    assert.is(await user({ ...runtime, REGISTRY_AUTH_FILE: file, DOCKER_CONFIG: other }), "other");
    assert.is(
      await user({ ...runtime, DOCKER_CONFIG: join(directory, "nowhere") }),
      "anonymous",
      "the defaults stay out",
    );
    assert.is(
      await user({ ...runtime, REGISTRY_AUTH_FILE: file }, other),
      "other",
      "what the caller names is alone",
    );
    const named = { ...runtime, DOCKER_CONFIG: other, DOCKER_AUTH_CONFIG: variable("variable") };
    assert.is(await user(named), "variable", "docker's variable comes before all files");
    assert.is(await user(named, other), "other", "the caller names what the variable does, alone");
    assert.is(
      await user({ DOCKER_CONFIG: join(directory, "nowhere"), REGISTRY_AUTH_FILE: file }),
      "named",
      "podman's variable beside docker's",
    );
    assert.is(
      await user({ ...named, DOCKER_CONFIG: "/x" }, other),
      "other",
      "what the caller names is alone",
    );
    assert.is(
      await user({ ...named, DOCKER_AUTH_CONFIG: JSON.stringify({ auths: { "x.test": login("x") } }) }),
      "other",
      "and the files have what it hasn't",
    );
    assert.is(await user({ DOCKER_CONFIG: file }), "named", "the file itself");
    assert.is(await user({}, file), "named", "the file itself, by the caller");
    for (const wrong of [join(file, "below"), "\0", "x".repeat(5000)]) {
      assert.is(await user({}, wrong), "anonymous", "a path that cannot be looked at");
    }
  });
});

test("what is wrong is told with the place where it stands", async () => {
  await inDirectory(async (directory) => {
    const explanation = async (env: Readonly<Record<string, string>>) => {
      const { options } = listening({
        env: { HOME: directory, PATH: directory, XDG_RUNTIME_DIR: directory, ...env },
      });
      return (await findCredentials({ registry: "h.test", repository: "a/b" }, options)).explanation;
    };
    const broken: readonly (readonly [string, string, RegExp])[] = [
      ["no JSON", "{s3cret", /is no JSON/],
      ["a list", '["s3cret"]', /it must be an object, it is a list/],
      ["auths that are a text", '{"auths":"s3cret"}', /auths must be an object, it is a string/],
      [
        "auth that is no base64",
        '{"auths":{"h.test":{"auth":"s3cret%"}}}',
        /`auth` is not base64 of user:password/,
      ],
      [
        "auth without a colon",
        `{"auths":{"h.test":{"auth":"${btoa("s3cret")}"}}}`,
        /`auth` is not base64 of user/,
      ],
      [
        "auth in Latin-1",
        `{"auths":{"h.test":{"auth":"${btoa("u:s3cret\u00fc")}"}}}`,
        /`auth` holds .* not UTF-8: log in again/,
      ],
      [
        "a token with blanks",
        '{"auths":{"h.test":{"registrytoken":"s3cret s3cret"}}}',
        /`registrytoken` is no token/,
      ],
      [
        "the older form",
        `{"h.test":{"auth":"${btoa("u:s3cret")}"}}`,
        /it has no `auths`, as the older \.dockercfg/,
      ],
      ["no name of a helper", '{"credsStore":"/s3cret"}', /is no helper's name/],
      [
        "a helper that is not there",
        '{"credHelpers":{"h.test":"absent"}}',
        /docker-credential-absent, which .* names, is not in PATH: install it, or remove its name/,
      ],
    ];
    for (const [what, text, expected] of broken) {
      await writeFile(join(directory, "auth.json"), text);
      for (
        const [env, place] of [
          [{ DOCKER_AUTH_CONFIG: text }, "the variable DOCKER_AUTH_CONFIG"],
          [{ REGISTRY_AUTH_FILE: join(directory, "auth.json") }, join(directory, "auth.json")],
        ] as const
      ) {
        const said = await explanation(env);
        assert.match(said, expected, what);
        assert.ok(said.includes(place), `${what}: ${said}`);
        assert.not.match(said, /s3cret|config\.json: (?!.*is not there)/, what);
      }
    }
    const found = await explanation({
      DOCKER_AUTH_CONFIG: JSON.stringify({ auths: { "h.test": login("u") } }),
    });
    assert.is(found, "with the credentials for h.test in the variable DOCKER_AUTH_CONFIG");
  });
});

test("a helper in the working folder is somebody else's, whatever PATH says", async () => {
  await inDirectory(async (directory) => {
    await writeFile(
      join(directory, "docker-credential-here"),
      `#!/bin/sh\necho '{"Username": "u", "Secret": "p"}'\n`,
    );
    await chmod(join(directory, "docker-credential-here"), 0o755);
    const here = relative(process.cwd(), directory);
    for (const PATH of [here, `:${here}:/usr/bin:/bin`, "", "."]) {
      const { options } = listening({
        env: {
          HOME: directory,
          PATH,
          DOCKER_AUTH_CONFIG: '{"credsStore":"here"}',
          XDG_RUNTIME_DIR: directory,
        },
      });
      const { credentials, explanation } = await findCredentials(
        { registry: "h.test", repository: "a/b" },
        options,
      );
      assert.is(credentials.kind, "anonymous", PATH);
      assert.match(
        explanation,
        /docker-credential-here, which the variable DOCKER_AUTH_CONFIG names, is not in PATH/,
      );
    }
  });
});

test("a helper that leaves a program behind, which keeps its output open, has answered", async () => {
  await inDirectory(async (directory) => {
    const helper = join(directory, "docker-credential-daemon");
    const left = join(directory, "left");
    await writeFile(
      helper,
      `#!/bin/sh\nsleep 600 &\necho $! > ${left}\necho '{"Username": "u", "Secret": "s3cret"}'\n`,
    );
    await chmod(helper, 0o755);
    const { options } = listening({
      env: {
        HOME: directory,
        PATH: `${directory}:/usr/bin:/bin`,
        DOCKER_AUTH_CONFIG: '{"credsStore":"daemon"}',
      },
    });
    try {
      const { credentials } = await findCredentials({ registry: "h.test", repository: "a/b" }, options);
      assert.equal(credentials, { kind: "basic", username: "u", password: "s3cret" });
    } finally {
      // It still runs: nobody waited for it.
      process.kill(Number(await readFile(left, "utf8")));
    }
  });
});

test.run();
