// How the user is there: the menu at their name, and the text beside it.

import { avatar, byId, el } from "./dom.js";
import { showMenu } from "./menu.js";
import { presenceWords } from "./words.js";

// offline is what others see of an invisible user.
const statuses = [["online", "Online"], ["away", "Away"], ["busy", "Busy"], ["offline", "Invisible"]];

/** Draws the user's name with how others see them. */
export function showMe({ user, name }, presence) {
  const status = presence?.status ?? "";
  const words = status === "offline" ? ["invisible", presence.customStatus].filter(Boolean).join(" · ") : presenceWords(presence);
  const version = JSON.stringify([user, name, status, words]);
  if (byId("me").dataset.version === version) return;
  byId("me").dataset.version = version;
  byId("me").replaceChildren(avatar(user, name || user, status),
    el("span", { class: "words" }, name || user, el("span", { class: "here" }, words)));
}

/** Opens the menu; set is called with what is to be told the server. */
export function askStatus(presence, set) {
  const now = presence?.status ?? "online";
  showMenu(byId("me"), [
    ...statuses.map(([status, name]) => ({ name: status === now ? `${name} ✓` : name, act: () => set({ status }) })),
    { name: "Status text…", act: async () => {
      const customStatus = await askText(presence?.customStatus ?? "");
      if (customStatus !== null) set({ status: now, customStatus });
    } },
  ]);
}

/** The text to show beside the name; null for no change. */
function askText(text) {
  const dialog = byId("status");
  byId("status-text").value = text;
  dialog.returnValue = "";
  dialog.showModal();
  byId("status-text").select();
  return new Promise((give) => dialog.addEventListener("close", () => give(dialog.returnValue === "set" ? byId("status-text").value.trim() : null), { once: true }));
}

byId("status-cancel").addEventListener("click", () => byId("status").close());
