// The user's notifications and how many are unread, exactly. Events may overtake
// each other on their way here, so each changes what it names, in any order to the
// same end; where the server counts otherwise, all is read again.

const page = 20;
const soon = 500; // ms; reading again waits for what comes together
const often = 60_000; // ms; what expires goes without an event

/** Events: "change". */
export class Notifications extends EventTarget {
  constructor(connection) {
    super();
    this.connection = connection;
    this.list = []; // newest first
    this.older = 0; // unread ones that are older than those of the list
    this.cursor = ""; // of the page after the list
    this.loaded = false;
    this.asOf = 0; // what is in the list, by the server's clock
    this.readIds = new Set(); // by events: what they name may come later
    this.clearedIds = new Set();
    this.changes = 0;
    setInterval(() => !document.hidden && this.unread() > 0 && this.load(), often);
  }

  listen(socket) {
    socket.on("notification:new", (notification) => this.came(notification));
    socket.on("notification:read", (e) => this.read(e));
    socket.on("notification:cleared", (e) => this.cleared(e));
  }

  unread() {
    return this.older + this.list.filter((n) => !n.read).length;
  }

  changed() {
    this.changes++;
    this.dispatchEvent(new CustomEvent("change"));
  }

  came(notification) {
    // Replayed after it was read here, it may have been cleared before.
    const replayed = Date.parse(notification.timestamp) < this.asOf;
    if (!this.loaded || replayed || this.list.some(({ id }) => id === notification.id) || this.clearedIds.has(notification.id)) return this.again();
    this.list.unshift({ ...notification, read: notification.read || this.readIds.has(notification.id) });
    this.list.sort((a, b) => Date.parse(b.timestamp) - Date.parse(a.timestamp));
    this.changed();
    this.agree(notification.badge);
  }

  /** notification:read, or the ack of it with the ids that were asked for. */
  read({ notificationIds, unreadCount }) {
    for (const id of notificationIds) this.readIds.add(id);
    const named = new Set(notificationIds);
    this.list = this.list.map((n) => (named.has(n.id) ? { ...n, read: true } : n));
    this.changed();
    this.agree(unreadCount);
  }

  /** notification:cleared, or the ack of notification:clear. */
  cleared({ notificationIds, unreadCount }) {
    for (const id of notificationIds) this.clearedIds.add(id);
    this.list = this.list.filter(({ id }) => !this.clearedIds.has(id));
    this.changed();
    this.agree(unreadCount);
  }

  /** The server's count; another than that here means that something is on its way, or has expired. */
  agree(count) {
    if (count !== undefined && count !== this.unread()) this.again();
  }

  again() {
    this.changes++; // what is being read may lack it
    this.timer ??= setTimeout(() => {
      this.timer = undefined;
      this.load();
    }, soon);
  }

  /** Reads as many as are here, or the first page. */
  load() {
    return this.take(async () => {
      const want = Math.max(page, this.list.length);
      let answer = await this.ask("");
      const list = answer.notifications;
      while (list.length < want && answer.nextCursor) {
        answer = await this.ask(answer.nextCursor);
        list.push(...answer.notifications);
      }
      return { list, answer, whole: true };
    });
  }

  /** Reads one page more. */
  more() {
    return this.take(async () => {
      const answer = await this.ask(this.cursor);
      return { list: [...this.list, ...answer.notifications], answer };
    });
  }

  ask(cursor) {
    return this.connection.request("notification:get-pending", { limit: page, cursor: cursor || undefined });
  }

  /** One reading at a time. One during which something came may be older than that, and is made again. */
  async take(reading) {
    if (!this.connection.ready) return;
    if (this.reading) return this.again();
    this.reading = true;
    try {
      let before, asOf, list, answer, whole;
      for (let tries = 0; tries < 3 && before !== this.changes; tries++) {
        before = this.changes;
        asOf = Date.now() + this.connection.ahead;
        ({ list, answer, whole } = await reading());
      }
      const sure = this.changes === before;
      if (!sure) this.again();
      const seen = new Set();
      this.list = list.filter(({ id }) => !seen.has(id) && seen.add(id));
      this.older = Math.max(0, answer.unreadCount - this.list.filter((n) => !n.read).length);
      this.cursor = answer.nextCursor ?? "";
      this.loaded = true;
      if (whole && sure) {
        this.asOf = asOf;
        this.readIds.clear();
        this.clearedIds.clear();
      }
      this.changed();
    } catch (error) {
      if (this.connection.ready) this.connection.problem(error.message);
    } finally {
      this.reading = false;
    }
  }

  /** Marks one as read. */
  async markRead(id) {
    const { unreadCount } = await this.connection.request("notification:read", { notificationId: id });
    this.read({ notificationIds: [id], unreadCount });
  }

  async clear(id) {
    const { unreadCount } = await this.connection.request("notification:clear", { notificationId: id });
    this.cleared({ notificationIds: [id], unreadCount });
  }

  /** Marks all as read, also those that are not in the list. */
  async markAllRead() {
    await this.connection.request("notification:read", { all: true });
    await this.load();
  }

  async clearAll() {
    await this.connection.request("notification:clear-all", {});
    await this.load();
  }
}
