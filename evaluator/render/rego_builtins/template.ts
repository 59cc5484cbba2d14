/** `strings.render_template`: templates of Go's `text/template`. */
import { type RegoBuiltins, RegoObject } from "../../types/rego.ts";
import { executeTemplate } from "../go_template/execute.ts";
import { parseTemplate, TemplateError } from "../go_template/parse.ts";
import { fail, halt, objectAt, stringAt } from "../rego_operands.ts";
import { fromTree, jsonTree } from "../rego_text.ts";

const MAX_TEMPLATE = 256 * 1024;

export const TEMPLATE_BUILTINS: RegoBuiltins = {
  "strings.render_template": (operands) => {
    const source = stringAt(operands, 0);
    const data = fromTree(jsonTree(objectAt(operands, 1)));
    if (source.length > MAX_TEMPLATE) {
      halt(`strings.render_template: a template of more than ${MAX_TEMPLATE} characters`);
    }
    if (!(data instanceof RegoObject)) return fail("the variables are no object");
    try {
      const text = executeTemplate(parseTemplate(source), data);
      return text.replaceAll("<no value>", "<undefined>");
    } catch (error) {
      // Half a character that was cut out of a text, say, is a TypeError.
      if (error instanceof TemplateError || error instanceof TypeError) return fail(error.message);
      throw error;
    }
  },
};
