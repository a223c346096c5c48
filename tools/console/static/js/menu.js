// What floats over the chat: a message's actions, who has read it, and the
// question before a deletion. Popovers and the dialog close on Escape by themselves.

import { byId, el } from "./dom.js";

/** Shows actions [{name, act}] at a button; before, where given, puts more above them. */
export function showMenu(button, actions, before) {
  const menu = byId("menu");
  menu.replaceChildren(...actions.map(({ name, act }) => {
    const item = el("button", { type: "button", role: "menuitem", tabindex: "-1" }, name);
    item.addEventListener("click", () => {
      menu.hidePopover();
      act();
    });
    return item;
  }));
  before?.(menu);
  float(menu, button);
  menu.querySelector("button").focus();
}

byId("menu").addEventListener("keydown", (e) => {
  const items = [...e.currentTarget.querySelectorAll("button")];
  const step = { ArrowDown: 1, ArrowUp: -1, ArrowRight: 1, ArrowLeft: -1 }[e.key];
  if (e.key === "Tab") e.currentTarget.hidePopover();
  if (!step) return;
  e.preventDefault();
  items[(items.indexOf(document.activeElement) + step + items.length) % items.length].focus();
});

/** Shows at the ticks of a message who has read it, who has it, and who does not. */
export function showWho(button, chats, receipt, everyone) {
  const had = new Set(receipt.delivered);
  const read = new Set(receipt.read);
  const parts = [
    ["Read by", receipt.read],
    ["Delivered to", receipt.delivered.filter((user) => !read.has(user))],
    ["Not yet", everyone.filter((user) => !had.has(user))],
  ];
  byId("who").replaceChildren(...parts.filter(([, users]) => users.length > 0).map(([title, users]) =>
    el("div", {}, el("h3", {}, title), el("ul", {}, ...users.map((user) => el("li", {}, chats.nameOf(user)))))));
  float(byId("who"), button);
  byId("who").focus();
}

/** Opens a popover at a button. */
function float(popover, button) {
  popover.showPopover();
  place(popover, button);
}

/** Has an open popover stand below a button, or above it where there is more room. */
export function place(popover, button) {
  const at = button.getBoundingClientRect();
  const { width, height } = popover.getBoundingClientRect();
  const below = at.bottom + height + 8 < innerHeight;
  popover.style.left = `${Math.max(8, Math.min(at.left, innerWidth - width - 8))}px`;
  popover.style.top = `${below ? at.bottom + 4 : Math.max(8, at.top - height - 4)}px`;
}

/** Asks how to delete; "me", "everyone", or "" for not at all. */
export function askDeletion(text, forEveryone) {
  const dialog = byId("delete");
  byId("delete-text").textContent = text;
  byId("delete-everyone").hidden = !forEveryone;
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((give) => dialog.addEventListener("close", () => give(dialog.returnValue), { once: true }));
}

byId("delete").addEventListener("click", (e) => {
  const choice = e.target.dataset.choice;
  if (choice !== undefined) byId("delete").close(choice);
});
