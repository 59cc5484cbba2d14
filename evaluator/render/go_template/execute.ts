/** Executes templates with the data of a policy. */
import { RegoObject, RegoSet, type RegoValue } from "../../types/rego.ts";
import { MAX_TEXT } from "../../types/rego_limits.ts";
import { isList, member } from "../rego_value.ts";
import { BoundedText, halt, work } from "../work.ts";
import { fail, FUNCTIONS, isConstant, isTrue, shown, type Value } from "./functions.ts";
import { type Node, type Operand, type Pipeline, ROOT, type Templates } from "./parse.ts";

const MAX_DEPTH = 200;

interface Variable {
  readonly name: string;
  value: Value;
}

class Execution {
  readonly #templates: Templates;
  readonly #output = new BoundedText(MAX_TEXT, "the rendered template");
  #depth = 0;

  constructor(templates: Templates) {
    this.#templates = templates;
  }

  get output(): string {
    return this.#output.toString();
  }

  #write(text: string): void {
    this.#output.add(text);
  }

  template(name: string, dot: Value): void {
    const nodes = this.#templates.get(name);
    if (!nodes) return fail(`template ${JSON.stringify(name)} not defined`);
    if (++this.#depth > MAX_DEPTH) {
      halt("strings.render_template: templates call each other too deeply");
    }
    this.#walk(nodes, dot, [{ name: "$", value: dot }]);
    this.#depth--;
  }

  /** Returns what ended the nodes early. */
  #walk(nodes: readonly Node[], dot: Value, outer: readonly Variable[]): "break" | "continue" | undefined {
    work(1 + outer.length);
    const variables = [...outer];
    for (const node of nodes) {
      work(4);
      switch (node.kind) {
        case "text":
          this.#write(node.text);
          break;
        case "action": {
          const value = this.#pipeline(node.pipeline, dot, variables);
          if (node.pipeline.variables.length > 0) break;
          this.#write(value === undefined || value === null ? "<no value>" : shown(value));
          break;
        }
        case "if":
        case "with": {
          work(variables.length);
          const inner = [...variables];
          const value = this.#pipeline(node.pipeline, dot, inner);
          const holds = isTrue(value);
          const next = holds && node.kind === "with" ? value : dot;
          const ended = this.#walk(holds ? node.body : node.otherwise, next, inner);
          if (ended) return ended;
          break;
        }
        case "range": {
          const ended = this.#range(node, dot, variables);
          if (ended) return ended;
          break;
        }
        case "template":
          this.template(node.name, node.pipeline ? this.#pipeline(node.pipeline, dot, variables) : undefined);
          break;
        case "break":
        case "continue":
          return node.kind;
      }
    }
    return undefined;
  }

  #range(node: Node & { kind: "range" | "if" | "with" }, dot: Value, outer: readonly Variable[]) {
    const { pipeline, body, otherwise } = node;
    const inner = [...outer];
    const value = this.#pipeline({ ...pipeline, variables: [] }, dot, inner);
    let any = false;
    for (const [key, element] of this.#elements(value)) {
      any = true;
      work(4 + inner.length);
      const { variables, assigns } = pipeline;
      const values = variables.length === 2 ? [key, element] : variables.length === 1 ? [element] : [];
      const scope = [...inner];
      variables.forEach((name, at) => {
        if (assigns) this.#assign(inner, name, values[at]);
        else scope.push({ name, value: values[at] });
      });
      if (this.#walk(body, element, scope) === "break") break;
    }
    return any ? undefined : this.#walk(otherwise, dot, inner);
  }

  *#elements(value: Value): Generator<readonly [Value, Value]> {
    if (value === undefined || value === null) return;
    if (isConstant(value) && value.kind === "int") {
      for (let at = 0n; at < value.value; at++) {
        yield [{ kind: "int", value: at }, { kind: "int", value: at }];
      }
      return;
    }
    if (value instanceof RegoObject) {
      for (const [key, element] of value.entries) yield [key, element];
      return;
    }
    const list = value instanceof RegoSet
      ? value.members
      : !isConstant(value) && isList(value)
      ? value
      : fail(`range can't iterate over ${shown(value)}`);
    for (const [at, element] of list.entries()) {
      yield [{ kind: "int", value: BigInt(at) }, element as RegoValue];
    }
  }

  #assign(variables: readonly Variable[], name: string, value: Value): void {
    work(variables.length);
    const variable = variables.findLast((candidate) => candidate.name === name);
    if (!variable) return fail(`undefined variable ${name}`);
    variable.value = value;
  }

  #pipeline(pipeline: Pipeline, dot: Value, variables: Variable[]): Value {
    let value: Value;
    pipeline.commands.forEach((command, at) => {
      value = this.#command(command, dot, variables, at > 0 ? [value] : []) ?? undefined;
    });
    for (const name of pipeline.variables) {
      if (pipeline.assigns) this.#assign(variables, name, value);
      else variables.push({ name, value });
    }
    return value;
  }

  #command(command: readonly Operand[], dot: Value, variables: Variable[], final: readonly Value[]): Value {
    const [first, ...others] = command as [Operand, ...Operand[]];
    if (first.kind === "function") return this.#call(first.name, others, dot, variables, final);
    if (others.length + final.length > 0) return fail("can't give argument to non-function");
    if (first.kind === "nil") return fail("nil is not a command");
    return this.#operand(first, dot, variables);
  }

  #call(
    name: string,
    operands: readonly Operand[],
    dot: Value,
    variables: Variable[],
    final: readonly Value[],
  ): Value {
    const evaluate = (operand: Operand) => this.#operand(operand, dot, variables);
    if (name === "and" || name === "or") {
      if (operands.length + final.length === 0) return fail(`wrong number of args for ${name}`);
      let value: Value;
      for (const operand of operands) {
        value = evaluate(operand);
        if (isTrue(value) === (name === "or")) return value;
      }
      return final.length > 0 ? final[0] : value;
    }
    const called = Object.hasOwn(FUNCTIONS, name) ? FUNCTIONS[name] : undefined;
    if (!called) return fail(`function ${JSON.stringify(name)} not defined`);
    const values = [...operands.map(evaluate), ...final];
    if (values.length < called.least || values.length > called.most) {
      return fail(`wrong number of args for ${name}`);
    }
    work(4);
    const value = called.call(...values);
    // Functions that lengthen a text, again and again, in a loop.
    if (typeof value === "string" && value.length > MAX_TEXT) {
      halt(`strings.render_template: a text of more than ${MAX_TEXT} characters`);
    }
    return value;
  }

  #operand(operand: Operand, dot: Value, variables: Variable[]): Value {
    switch (operand.kind) {
      case "dot":
        return this.#fields(dot, operand.fields);
      case "variable": {
        work(variables.length);
        const variable = variables.findLast(({ name }) => name === operand.name);
        return variable
          ? this.#fields(variable.value, operand.fields)
          : fail(`undefined variable ${operand.name}`);
      }
      case "pipeline":
        work(variables.length);
        return this.#fields(this.#pipeline(operand.pipeline, dot, [...variables]), operand.fields);
      case "function":
        return this.#call(operand.name, [], dot, variables, []);
      case "constant":
        return operand.value;
      case "nil":
        return null;
    }
  }

  #fields(value: Value, fields: readonly string[]): Value {
    let found = value;
    for (const field of fields) {
      if (found === undefined) return undefined;
      if (found === null) return fail(`nil pointer evaluating interface {}.${field}`);
      if (!(found instanceof RegoObject)) {
        return fail(`can't evaluate field ${field} in a value without fields`);
      }
      found = member(found, field);
    }
    return found;
  }
}

/** The text that a template gives with its data. Throws TemplateError, and BuiltinHalt for a text that becomes too long. */
export function executeTemplate(templates: Templates, data: RegoObject): string {
  const execution = new Execution(templates);
  execution.template(ROOT, data);
  return execution.output;
}
