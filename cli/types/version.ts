/** The version of Kubewarden whose contract this tool keeps; `minimumKubewardenVersion` of policies is compared with it. */
export const VERSION = "1.36.0";
