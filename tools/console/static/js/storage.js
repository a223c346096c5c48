// What this browser remembers: who is logged in, and for each user the device
// id, the chats in the list and whether they want push. Nothing secret: tokens are made anew. How far a
// chat was read, the server knows.

const read = (key, otherwise) => {
  try {
    return JSON.parse(localStorage.getItem(key)) ?? otherwise;
  } catch {
    return otherwise;
  }
};
const write = (key, value) => localStorage.setItem(key, JSON.stringify(value));

/** The user of this tab: another tab may be another user. */
export const session = {
  load() {
    try {
      return JSON.parse(sessionStorage.getItem("sup.session"));
    } catch {
      return null;
    }
  },
  save: (who) => sessionStorage.setItem("sup.session", JSON.stringify(who)),
  clear: () => sessionStorage.removeItem("sup.session"),
};

/** An id of 22 URL-safe characters, 128 random bits. */
export function randomId() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return btoa(String.fromCharCode(...bytes)).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}

/** This browser as a device of the user; its queue on the server is its own. */
export function deviceOf(user) {
  const key = `sup.device.${user}`;
  const known = read(key, "");
  if (known) return known;
  const fresh = `web-${randomId()}`;
  write(key, fresh);
  return fresh;
}

/** Users of this browser who want push to it. */
export const pushUsers = {
  all: () => read("sup.push", []),
  any: () => pushUsers.all().length > 0,
  has: (user) => pushUsers.all().includes(user),
  add: (user) => write("sup.push", [...new Set([...pushUsers.all(), user])]),
  delete: (user) => write("sup.push", pushUsers.all().filter((other) => other !== user)),
};

/** The user's chats as this browser knows them: [{id, name}]. */
export const loadChats = (user) => read(`sup.chats.${user}`, [{ id: "lobby" }]);
export const saveChats = (user, chats) => write(`sup.chats.${user}`, chats);
