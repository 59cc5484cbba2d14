/** The audit scanner: reports on what is there, and what becomes of them. */
import * as assert from "uvu/assert";
import { NAMESPACE, privilegedPods } from "../_objects.ts";
import { remove, type Subject } from "./_steps.ts";

export const audit: Subject = (test) => {
  test("B-AUD: the audit writes reports on what is there, and removes those of policies that are gone", async ({ stack }) => {
    await stack.oneChart();
    stack.clean();
    const scan = () => {
      stack.kubectl("create", "job", "--from=cronjob/audit-scanner", "auditjob", "-n", NAMESPACE);
      stack.kubectl("wait", "--for=condition=Complete", "job/auditjob", "-n", NAMESPACE, "--timeout=180s");
      remove(stack, "job", "auditjob", "-n", NAMESPACE);
    };
    const privileged = stack.pod("audited-privileged", { privileged: true });
    const plain = stack.pod("audited-plain");
    stack.apply(privilegedPods());
    stack.active("cap", "privileged-pods");
    scan();
    const summary = (uid: string) => stack.get("reps", uid, "default")?.summary;
    assert.equal([summary(privileged.metadata.uid)?.fail, summary(plain.metadata.uid)?.pass], [1, 1]);
    remove(stack, "cap", "privileged-pods");
    scan();
    assert.equal(stack.list("reports", "-A"), []);
    remove(stack, "pod", "audited-privileged", "audited-plain");
  });
};
