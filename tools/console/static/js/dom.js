// Elements without markup: text of others is only ever set as text.

/** The element with this id. */
export const byId = (id) => document.getElementById(id);

/** A new element: attributes (class, type, …), then children, strings as text. */
export function el(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === false) continue;
    node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.filter((c) => c !== undefined && c !== null && c !== ""));
  return node;
}

/** A round mark with the first letter of a name, in a colour of the id's own, and a dot for how they are there. */
export function avatar(id, name = id, status = "") {
  let hash = 0;
  for (const c of id) hash = (hash * 31 + c.codePointAt(0)) >>> 0;
  const letter = [...new Intl.Segmenter().segment(name.trim() || id)][0]?.segment ?? "?";
  return el("span", { class: `avatar hue-${hash % 8}`, "aria-hidden": "true", "data-status": status || undefined }, letter.toUpperCase());
}

/**
 * Makes parent's children be one element per item, in order. An element is
 * kept while its item's key and version stay the same, so that a screen reader
 * hears only what is new; item.touch, if there is one, brings it up to date.
 */
export function reconcile(parent, items, render) {
  const old = new Map([...parent.children].map((node) => [node.dataset.key, node]));
  let at = parent.firstElementChild;
  for (const item of items) {
    let node = old.get(item.key);
    if (!node || node.dataset.version !== String(item.version)) {
      const fresh = render(item);
      fresh.dataset.key = item.key;
      fresh.dataset.version = String(item.version);
      if (node) {
        if (at === node) at = fresh;
        node.replaceWith(fresh);
      }
      node = fresh;
    }
    old.delete(item.key);
    item.touch?.(node);
    if (node === at) at = at.nextElementSibling;
    else parent.insertBefore(node, at);
  }
  for (const gone of old.values()) gone.remove();
}

const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const calendar = new Intl.DateTimeFormat(undefined, { weekday: "long", day: "numeric", month: "long" });
const short = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short" });

export const time = (at) => clock.format(at);
export const day = (at) => (sameDay(at, new Date()) ? "Today" : calendar.format(at));
export const briefly = (at) => (sameDay(at, new Date()) ? clock.format(at) : short.format(at));
export const sameDay = (a, b) => a.toDateString() === b.toDateString();

const units = [[86_400_000, "d"], [3_600_000, "h"], [60_000, "min"], [1_000, "s"]];

/** How long ms are, in the largest unit that fits: "59 min". */
export function span(ms) {
  const [size, unit] = units.find(([size]) => ms >= size) ?? units.at(-1);
  return `${Math.max(0, Math.floor(ms / size))} ${unit}`;
}
