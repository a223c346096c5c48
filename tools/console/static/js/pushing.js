// Push to this browser: a subscription of the browser, and the server's word that
// it is this device's. A worker (push.js) shows what comes, also without a page.

import { pushUsers } from "./storage.js";

const worker = "push.js";
// The policy of the page lets a worker be made of this file alone.
const policy = globalThis.trustedTypes?.createPolicy("push-worker", { createScriptURL: () => worker });

/** Events: "change". */
export class Pushing extends EventTarget {
  constructor(connection) {
    super();
    this.connection = connection;
    this.key = ""; // of the server; without one there is no push
    this.on = false;
    this.wanted = false; // what it is being switched to
    this.busy = false;
    this.fault = "";
  }

  get user() {
    return this.connection.who.user;
  }

  changed() {
    this.dispatchEvent(new CustomEvent("change"));
  }

  /** After each connect: whether there is push, and what the server may have lost of it. */
  async settle() {
    if (!("serviceWorker" in navigator && "PushManager" in globalThis)) return;
    try {
      this.key = (await this.connection.request("device:push-config", {})).vapidPublicKey ?? "";
    } catch {
      return; // asked again at the next connect
    }
    if (this.key && pushUsers.has(this.user) && Notification.permission === "granted") await this.set(true, true);
    this.changed();
  }

  /** Switches it; the permission is asked for only where the user has just asked for push. */
  async set(on, allowed = false) {
    if (this.busy) return;
    Object.assign(this, { busy: true, wanted: on, fault: "" });
    this.changed();
    try {
      if (on) await this.begin(allowed);
      else await this.end();
      this.on = on;
    } catch (error) {
      this.on &&= !on; // what could not be ended goes on
      this.fault = faultWords(error);
    }
    this.busy = false;
    this.changed();
  }

  async begin(allowed) {
    if (!allowed && (await Notification.requestPermission()) !== "granted") throw new Error("This browser does not allow notifications of this page.");
    await navigator.serviceWorker.register(policy ? policy.createScriptURL("") : worker);
    const { pushManager } = await navigator.serviceWorker.ready;
    const key = bytes(this.key);
    let subscription = await pushManager.getSubscription();
    if (subscription && !same(new Uint8Array(subscription.options.applicationServerKey), key)) {
      await subscription.unsubscribe(); // made with another key
      subscription = null;
    }
    subscription ??= await pushManager.subscribe({ userVisibleOnly: true, applicationServerKey: key });
    const { endpoint, keys } = subscription.toJSON();
    await this.connection.request("device:register", { provider: "webpush", token: endpoint, p256dh: keys.p256dh, auth: keys.auth });
    pushUsers.add(this.user);
  }

  async end() {
    await this.connection.request("device:unregister", { provider: "webpush" });
    pushUsers.delete(this.user);
    if (pushUsers.any()) return; // the browser's one subscription is another user's too
    const registration = await navigator.serviceWorker.getRegistration();
    await (await registration?.pushManager.getSubscription())?.unsubscribe();
  }
}

function faultWords(error) {
  if (error.name === "NotAllowedError") return "This browser does not allow push to this page.";
  if (error.name === "AbortError") return "This browser could not reach its push service.";
  return error.message;
}

const bytes = (text) => Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (c) => c.charCodeAt(0));
const same = (a, b) => a.length === b.length && a.every((byte, i) => byte === b[i]);
