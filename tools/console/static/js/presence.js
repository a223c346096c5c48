// Who is here: the people on screen are subscribed, those who are there no more
// are not, and the newest that the server has said of each is kept.

const perRequest = 100; // users of one presence:subscribe
const again = 5_000; // ms until what the server could not do is tried again

export class Presences {
  constructor(connection) {
    this.connection = connection;
    this.of = new Map(); // user → the newest presence:update
    this.asked = new Set(); // subscribed on this connection
    this.busy = false; // a request is under way
    this.wanted = [];
  }

  /** Keeps an update. What is older than what is here was late; without a version nothing is known. */
  update(presence) {
    const { userId, version } = presence;
    if (version && version < (this.of.get(userId)?.version ?? 0)) return;
    this.of.set(userId, presence);
    this.connection.chats.changed(null);
  }

  /** A connection begins with no subscriptions, and without one nobody knows. */
  lost() {
    this.of.clear();
    this.asked.clear();
  }

  /** Says whose presence is shown now. */
  want(users) {
    this.wanted = users;
    this.settle();
  }

  async settle() {
    if (this.busy || !this.connection.ready) return;
    const wanted = new Set(this.wanted);
    const more = [...wanted].filter((user) => !this.asked.has(user)).slice(0, perRequest);
    const less = [...this.asked].filter((user) => !wanted.has(user)).slice(0, perRequest);
    if (more.length + less.length === 0) return;
    this.busy = true;
    try {
      if (less.length > 0) {
        await this.connection.request("presence:unsubscribe", { userIds: less });
        for (const user of less) {
          this.asked.delete(user);
          this.of.delete(user);
        }
      }
      if (more.length > 0) {
        const { presences } = await this.connection.request("presence:subscribe", { userIds: more });
        for (const user of more) this.asked.add(user);
        for (const presence of presences) if (presence.status !== "unknown") this.update(presence);
      }
    } catch (error) {
      setTimeout(() => this.settle(), Math.max(again, error.retryAfterMs ?? 0));
      return;
    } finally {
      this.busy = false;
    }
    this.settle();
  }
}

/** The one other member of a chat of two, "" for other chats. */
export const partner = (chat) => (chat.receipts?.size === 1 ? chat.receipts.keys().next().value : "");

/** Whom to show: oneself, the members of the open chat, the other one of each chat of two. */
export function onShow(chats, open) {
  const members = open ? [...(open.receipts?.keys() ?? []), ...(open.active ?? [])] : [];
  return [...new Set([chats.me, ...members.slice(0, perRequest), ...chats.list().map(partner).filter(Boolean)])].slice(0, 1_000);
}
