// The worker that shows a push, also while no page is open. A push is what
// proto.Push holds; of two with one collapse key the newer replaces the other.

const patience = 1_000; // ms for a page to say that the user is its own

self.addEventListener("install", () => self.skipWaiting());
self.addEventListener("activate", (e) => e.waitUntil(self.clients.claim()));

self.addEventListener("push", (e) => {
  let push;
  try {
    push = e.data.json();
  } catch {
    return;
  }
  e.waitUntil(push.withdraw ? withdraw(push) : show(push));
});

/** Two users of one browser have each their own. */
const tagOf = ({ userId, collapseKey, notificationId }) => `${userId} ${collapseKey || notificationId}`;

function show(push) {
  const { title, message, sound, createdAt, userId, type, chatId, messageId, notificationId } = push;
  return self.registration.showNotification(title, {
    body: message, tag: tagOf(push), renotify: Boolean(sound), silent: !sound, icon: "favicon.svg",
    timestamp: Date.parse(createdAt), data: { userId, type, chatId, messageId, notificationId },
  });
}

async function withdraw(push) {
  for (const shown of await self.registration.getNotifications({ tag: tagOf(push) })) shown.close();
}

self.addEventListener("notificationclick", (e) => {
  e.notification.close();
  e.waitUntil(go(e.notification.data));
});

/** Shows the page of the user, or any, or a new one. */
async function go(data) {
  const pages = await self.clients.matchAll({ type: "window", includeUncontrolled: true });
  const answers = await Promise.all(pages.map((page) => offer(page, data)));
  const page = pages[answers.indexOf(true)] ?? pages[0];
  await (page ? page.focus() : self.clients.openWindow("./"));
}

/** True where the page's user is that of the notification; it goes there then. */
function offer(page, data) {
  return new Promise((give) => {
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = ({ data: taken }) => give(taken);
    setTimeout(() => give(false), patience);
    page.postMessage(data, [port2]);
  });
}
