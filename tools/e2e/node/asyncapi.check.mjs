// Reads an AsyncAPI document with the reference parser and checks every
// example in it against its payload: node asyncapi.check.mjs <file>.
import { readFile } from "node:fs/promises";
import parserModule from "@asyncapi/parser";
import Ajv from "ajv";
import addFormats from "ajv-formats";

const { Parser } = parserModule;
const { document, diagnostics } = await new Parser().parse(await readFile(process.argv[2], "utf8"));

// Severity 0 is an error, 1 a warning, 2 information, 3 a hint.
const problems = diagnostics.filter((d) => d.severity <= 1).map((d) => `${d.code} at ${d.path.join(".")}: ${d.message}`);
let examples = 0;
for (const message of document?.messages() ?? []) {
  // Not one Ajv for all: resolved payloads share objects and so their ids.
  const validate = addFormats(new Ajv({ strict: false })).compile(message.payload().json());
  for (const example of message.examples()) {
    examples++;
    if (!validate(example.payload())) {
      problems.push(`example of ${message.id()}: ${validate.errors.map((e) => `${e.instancePath} ${e.message}`).join(", ")}`);
    }
  }
}
for (const p of problems.slice(0, 20)) console.error(p);
if (problems.length > 0 || examples === 0) process.exit(1);
console.log(`${document.channels().length} channels, ${document.operations().length} operations, ${document.messages().length} messages, ${examples} examples`);
