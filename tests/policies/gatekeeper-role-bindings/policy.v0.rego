# No subject may get the same role of a namespace twice. Made for benchmarks: it looks at every RoleBinding of the cluster.
package rolebindings

violation[{"msg": msg}] {
	other := data.inventory.namespace[namespace]["rbac.authorization.k8s.io/v1"].RoleBinding[name]
	namespace == input.review.namespace
	name != input.review.object.metadata.name
	other.roleRef == input.review.object.roleRef
	subject := other.subjects[_]
	subject == input.review.object.subjects[_]
	msg := sprintf("%s %s has the role %s already, by %s", [subject.kind, subject.name, other.roleRef.name, name])
}
