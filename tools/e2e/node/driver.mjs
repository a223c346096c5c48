// A stock socket.io-client, driven line by line: commands come as JSON lines on stdin, what the clients see
// goes out as JSON lines on stdout. One process holds any number of clients, so a Go test can be about many apps.
import { createInterface } from 'node:readline';
import { io } from 'socket.io-client';

const clients = new Map();
const say = (line) => process.stdout.write(JSON.stringify(line) + '\n');
const plainError = (err) => ({ message: err.message, data: err.data ?? null, description: String(err.description ?? '') });

// Confirms delivery as an app does: the newest seq of each chat, one request at a time. What the server has
// confirmed is reported as an event of its own name, in line with the events that the socket gets.
function confirmer(id, socket) {
  const newest = new Map();
  let busy = false;
  const next = () => {
    const [first] = newest;
    if (!first || !socket.connected) { busy = false; return; }
    const [chatId, upToSeq] = first;
    newest.delete(chatId);
    socket.timeout(10000).emit('message:delivered', { chatId, upToSeq }, (err, ack) => {
      if (!err && ack?.success) say({ type: 'event', id, event: 'confirmed', data: { chatId, upToSeq }, offset: null });
      next();
    });
  };
  return ({ chatId, seq }) => {
    newest.set(chatId, Math.max(seq, newest.get(chatId) ?? 0));
    if (!busy) { busy = true; next(); }
  };
}

// {"$buffer": n} stands for n bytes, which JSON has no way to write.
function withBuffers(value) {
  if (value === null || typeof value !== 'object') return value;
  if ('$buffer' in value) return Buffer.alloc(value.$buffer, 1);
  if (Array.isArray(value)) return value.map(withBuffers);
  return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, withBuffers(v)]));
}

// Two options are the driver's own: confirm confirms every message as delivered, authFunction gives auth by a function.
function connect({ id, url, auth, options = {} }) {
  const { authFunction, confirm, ...stock } = options;
  const socket = io(url, { auth: authFunction ? (give) => give(auth) : auth, forceNew: true, ...stock });
  clients.set(id, socket);
  const deliver = confirmer(id, socket);
  socket.on('connect', () => {
    say({ type: 'connect', id, sid: socket.id, recovered: socket.recovered, transport: socket.io.engine.transport.name });
    socket.io.engine.once('upgrade', () => say({ type: 'upgrade', id, transport: socket.io.engine.transport.name }));
  });
  socket.on('connect_error', (err) => say({ type: 'connect_error', id, active: socket.active, error: plainError(err) }));
  socket.on('disconnect', (reason) => say({ type: 'disconnect', id, reason, active: socket.active }));
  socket.onAny((event, ...args) => {
    say({ type: 'event', id, event, data: args[0] ?? null, offset: typeof args[1] === 'string' ? args[1] : null });
    if (confirm && event === 'message:new') deliver(args[0].message);
  });
}

const commands = {
  connect,
  emit({ id, event, args: plain, ref, noAck }) {
    const socket = clients.get(id), args = plain.map(withBuffers);
    if (noAck) socket.emit(event, ...args);
    else {
      // With the `retries` option the client puts (err, value) into the callback; without it, the value alone.
      socket.emit(event, ...args, (...res) => say({ type: 'ack', id, ref, res: res.map((r) => (r instanceof Error ? plainError(r) : r)) }));
    }
  },
  // Events and the end of the connection in one go, as an app does that is being closed.
  leave({ id, events }) {
    const socket = clients.get(id);
    for (const [event, ...args] of events) socket.emit(event, ...args);
    socket.disconnect();
  },
  disconnect({ id }) { clients.get(id).disconnect(); },
  reconnect({ id }) { clients.get(id).connect(); },
  drop({ id }) { clients.get(id).io.engine.close(); },
  // The transport dies without a word, as a phone in a tunnel: the client notices nothing either.
  freeze({ id }) { const t = clients.get(id).io.engine.transport; t.ws?._socket?.pause?.(); say({ type: 'frozen', id }); },
  exit() { process.exit(0); },
};

createInterface({ input: process.stdin }).on('line', (line) => {
  if (!line) return;
  const cmd = JSON.parse(line);
  try { commands[cmd.cmd](cmd); } catch (err) { say({ type: 'driver_error', id: cmd.id ?? null, error: plainError(err) }); }
}).on('close', () => process.exit(0));
say({ type: 'ready' });
