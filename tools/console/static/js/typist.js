// Telling the others that the user types: at most every 2 s while it goes on,
// and that it has stopped. A message that is sent ends it by itself.

const every = 2_000;

export class Typist {
  constructor(connection) {
    this.connection = connection;
    this.chatId = ""; // where the others see it
    this.told = 0;
  }

  /** The composer of a chat has this text. */
  typed(chatId, text) {
    if (!text.trim()) return this.stop();
    if (this.chatId !== chatId) this.stop();
    const now = performance.now();
    if (!this.connection.ready || (this.chatId && now - this.told < every)) return;
    this.chatId = chatId;
    this.told = now;
    this.connection.socket.emit("message:typing", { chatId });
  }

  /** The message was sent, so the server ends it. */
  sent() {
    this.chatId = "";
  }

  stop() {
    if (this.chatId && this.connection.ready) this.connection.socket.emit("message:stop-typing", { chatId: this.chatId });
    this.chatId = "";
  }
}
