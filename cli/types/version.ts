/** The version of Kubewarden's `kwctl` whose contract this tool keeps; `minimumKubewardenVersion` is compared with it. */
export const COMPATIBLE_VERSION = "1.36.0-beta.1";
