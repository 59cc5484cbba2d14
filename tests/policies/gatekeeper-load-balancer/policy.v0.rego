package loadbalancer

violation[{"msg": msg}] {
	input.review.kind.kind == "Service"
	input.review.object.spec.type == "LoadBalancer"
	not allowed
	msg := sprintf("Service of type LoadBalancer are not allowed in namespace %v, only in %v", [input.review.namespace, input.parameters.namespaces])
}

allowed {
	regex.template_match(input.parameters.namespaces[_], input.review.namespace, "{", "}")
}
