/** What is left behind, and what is kept. */
import { NAMESPACE } from "../_objects.ts";
import { nothingLeft, type Subject } from "./_steps.ts";

export const uninstall: Subject = (test) => {
  test("an uninstallation with the controller already gone leaves nothing behind either", ({ stack }) => {
    stack.kubectl("delete", "deployment", "admission-controller", "-n", NAMESPACE, "--wait");
    stack.uninstall("admission-controller");
    nothingLeft(stack);
  });
};
