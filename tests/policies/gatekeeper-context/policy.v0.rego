package context

violation[{"msg": msg}] {
	data.inventory.namespace[namespace].v1.Service[input.review.object.metadata.name]
	namespace != input.review.namespace
	msg := sprintf("taken in %s, one of %d namespaces", [namespace, count(data.inventory.cluster.v1.Namespace)])
}
