// Checks an OpenAPI document against the specification's own schema, resolves
// every reference in it, and checks every example against its schema:
// node openapi.check.mjs <file>.
import { readFile } from "node:fs/promises";
import Ajv from "ajv/dist/2020.js";
import addFormats from "ajv-formats";
import { Validator } from "@seriousme/openapi-schema-validator";

const document = JSON.parse(await readFile(process.argv[2], "utf8"));
const problems = [];

const validator = new Validator();
const { valid, errors } = await validator.validate(structuredClone(document));
if (!valid) problems.push(...[errors].flat().map((e) => `${e.instancePath ?? ""} ${e.message ?? e}`));
// Every reference leads somewhere.
const follow = (ref) => ref.slice(2).split("/").reduce((at, key) => at?.[key.replaceAll("~1", "/").replaceAll("~0", "~")], document);
JSON.stringify(document, (key, value) => {
  if (key === "$ref" && follow(value) === undefined) problems.push(`${value} leads nowhere`);
  return value;
});
if (validator.version !== "3.1") problems.push(`version ${validator.version}, not 3.1`);

// One Ajv over the whole document, so that references are resolved where they stand.
const ajv = addFormats(new Ajv({ strict: false, validateFormats: true }));
ajv.addSchema(document, "api");
const pointer = (...path) => "api#/" + path.map((p) => encodeURIComponent(p.replaceAll("~", "~0").replaceAll("/", "~1"))).join("/");
let examples = 0;
function check(value, ...path) {
  examples++;
  const validate = ajv.getSchema(pointer(...path));
  if (!validate) problems.push(`${path.join("/")}: no schema`);
  else if (!validate(value)) problems.push(`${path.join("/")}: ${ajv.errorsText(validate.errors)}`);
}

const failure = (code) => ({ success: false, error: "x", message: "x", code, retryable: false, requestId: "x" });
const operations = [];
const ids = new Set();
for (const [path, item] of Object.entries(document.paths)) {
  for (const [method, operation] of Object.entries(item)) {
    operations.push(operation);
    if (ids.has(operation.operationId)) problems.push(`operationId ${operation.operationId} stands twice`);
    ids.add(operation.operationId);
    const named = [...path.matchAll(/{([^}]+)}/g)].map((m) => m[1]);
    const given = (operation.parameters ?? []).filter((p) => p.in === "path").map((p) => p.name);
    if (named.sort().join() !== given.sort().join()) problems.push(`${method} ${path}: path parameters ${given}`);
    for (const [media, body] of Object.entries(operation.requestBody?.content ?? {})) {
      for (const { value } of Object.values(body.examples)) check(value, "paths", path, method, "requestBody", "content", media, "schema");
    }
    for (const [status, response] of Object.entries(operation.responses)) {
      for (const [media, { schema, example }] of Object.entries(response.content)) {
        const at = ["paths", path, method, "responses", status, "content", media, "schema"];
        if (example) check(example, ...at);
        else if (status !== "200") {
          // Each code of the status fits, and one of another status does not.
          for (const code of schema.allOf[1].properties.code.enum) check(failure(code), ...at);
          if (ajv.getSchema(pointer(...at))?.(failure("CALL_BUSY"))) problems.push(`${at.join("/")}: takes any code`);
        }
      }
    }
  }
}

for (const p of problems.slice(0, 20)) console.error(p);
if (problems.length > 0 || examples === 0) process.exit(1);
console.log(`${operations.length} operations, ${examples} examples`);
