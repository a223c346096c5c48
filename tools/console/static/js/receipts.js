// Telling the server what this device has and what its user has read. Each says
// everything up to a seq, so one request a chat stands for all since the last.

const after = 300; // ms in which receipts are gathered

export class Receipts {
  constructor(connection) {
    this.connection = connection;
    this.waiting = new Map(); // chat → {delivered, read}
  }

  /** This device has the chat up to seq. */
  delivered(chatId, seq) {
    this.note(chatId, "delivered", seq);
  }

  /** The user has had it on screen up to seq; that says delivered too. */
  read(chatId, seq) {
    this.note(chatId, "read", seq);
  }

  note(chatId, verb, seq) {
    if (this.waiting.size === 0) setTimeout(() => this.flush(), after);
    const at = this.waiting.get(chatId) ?? { delivered: 0, read: 0 };
    at[verb] = Math.max(at[verb], seq);
    this.waiting.set(chatId, at);
  }

  flush() {
    const all = [...this.waiting];
    this.waiting.clear();
    for (const [chatId, { delivered, read }] of all) {
      if (read) this.tell("message:read", chatId, read);
      if (delivered > read) this.tell("message:delivered", chatId, delivered);
    }
  }

  async tell(event, chatId, upToSeq) {
    const { connection } = this;
    const again = () => this.note(chatId, event === "message:read" ? "read" : "delivered", upToSeq);
    // What was delivered comes again with the next connection; what was read does not.
    if (!connection.ready) {
      if (event === "message:read") connection.afterConnect.push(again);
      return;
    }
    try {
      const ack = await connection.request(event, { chatId, upToSeq });
      if (event === "message:read") connection.chats.read(connection.chats.get(chatId), ack.upToSeq);
    } catch (error) {
      if (!error.code) connection.afterConnect.push(again);
      else if (error.retryable) setTimeout(again, error.retryAfterMs ?? 2_000);
    }
  }
}
