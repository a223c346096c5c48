// Two people on the console page, in a real browser. Driven by tools/sup's test: node console.mjs URL [FOLDER]
// prints one line per step; at "restart" it waits for a line on standard input while the mesh is killed and
// started again. FOLDER, if given, gets a picture of each stage.
import assert from 'node:assert/strict';
import { createInterface } from 'node:readline';
import { chromium } from 'playwright-core';

const [url, folder] = process.argv.slice(2);
const input = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const step = (name) => process.stdout.write(`${name}\n`);
const room = `room-${Date.now()}`;
const limit = 90_000;

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  args: ['--no-sandbox', '--disable-gpu', '--disable-background-networking', '--disable-quic', '--no-first-run', '--disable-component-update', '--disable-sync'],
});

const complaints = [];
async function person(user, name, viewport, colorScheme) {
  const context = await browser.newContext({ viewport, colorScheme, locale: 'en-GB', hasTouch: viewport.width < 500 });
  return tab(context, user, name);
}

async function tab(context, user, name) {
  const page = await context.newPage();
  page.setDefaultTimeout(limit);
  page.on('pageerror', (error) => complaints.push(`${user}: ${error}`));
  page.on('console', (m) => {
    // While the mesh is away the browser itself reports the failed requests.
    if (m.type() === 'error' && !/ERR_CONNECTION_REFUSED|WebSocket connection|ERR_EMPTY_RESPONSE|ERR_CONNECTION_RESET|ERR_SOCKET_NOT_CONNECTED|ERR_INCOMPLETE_CHUNKED/.test(m.text())) complaints.push(`${user}: ${m.text()}`);
  });
  const answer = await page.goto(url);
  assert.match(answer.headers()['content-security-policy'], /^default-src 'none'; script-src 'self';/);
  if (folder) await page.screenshot({ path: `${folder}/${user}-login.png` });
  await logIn(page, user, name);
  return page;
}

async function logIn(page, user, name) {
  await page.getByLabel('User id').fill(user);
  await page.getByLabel('Display name').fill(name);
  await page.getByRole('button', { name: 'Log in' }).click();
  await page.locator('#state.online').waitFor();
}

const open = async (page, chat) => {
  await page.getByLabel('Chat id to open').fill(chat);
  await page.getByRole('button', { name: 'Open', exact: true }).click();
  await page.getByRole('heading', { name: chat }).waitFor();
  await page.locator('#chat-info').filter({ hasText: /^\d+ messages?$/ }).waitFor();
};
const say = async (page, text) => {
  await page.getByLabel('Message', { exact: true }).fill(text);
  await page.keyboard.press('Enter');
};
const sees = (page, text) => page.locator('.message .text', { hasText: text }).last().waitFor();
const composer = (page) => page.getByLabel('Message', { exact: true });
const row = (page, chat) => page.locator(`[data-chat="${chat}"]`);
const bubble = (page, text) => page.locator('.message', { has: page.locator('.text', { hasText: text }) }).last();
const ticks = (page, text, state) => bubble(page, text).locator(`.ticks[data-state="${state}"]`).waitFor();
const back = (page) => page.getByRole('button', { name: 'Back to the chats' }).click();
const act = async (page, text, action) => {
  await bubble(page, text).hover();
  await bubble(page, text).getByRole('button', { name: 'Message actions' }).click();
  await page.getByRole('menuitem', { name: action }).click();
};
const here = async (where, status, words) => {
  await where.locator(`.avatar[data-status="${status}"]`).waitFor();
  await where.locator('.here, .id').filter({ hasText: words }).waitFor();
};
const gone = (page, text) => page.locator('.message .text', { hasText: text }).waitFor({ state: 'detached' });
const hide = (page, hidden) => page.evaluate((hidden) => {
  Object.defineProperty(document, 'hidden', { configurable: true, get: () => hidden });
  document.dispatchEvent(new Event('visibilitychange'));
}, hidden);
const picture = (page, name) => (folder ? page.screenshot({ path: `${folder}/${name}.png` }) : undefined);

try {
  const alice = await person('alice', 'Alice Ångström', { width: 1180, height: 760 }, 'light');
  const bob = await person('bob', 'Bob', { width: 390, height: 780 }, 'dark');
  step('logged in');
  await picture(bob, 'bob-list');

  await open(alice, room);
  await alice.getByText('No messages yet').waitFor();
  await picture(alice, 'alice-empty');
  await open(bob, room);
  await say(alice, 'Hello Bob, does this work?');
  await sees(bob, 'does this work');
  await say(bob, 'It does 👨‍👩‍👧 ❤️');
  await sees(alice, 'It does');
  assert.equal(await alice.locator('.message.mine').count(), 1, 'one bubble for one message');
  step('exchanged');

  const attack = '<img src=x onerror="document.title=\'owned\'"><script>document.title="owned"</script>';
  await say(bob, attack);
  await sees(alice, attack);
  assert.equal(await alice.locator('.message img, .message script').count(), 0);
  assert.doesNotMatch(await alice.title(), /owned/);
  await say(alice, 'A longer message, so that the line has to wrap on a narrow screen:\nwith a second line, and averyveryverylongwordwithoutanybreaksthatmustnotpushthelayoutasideonaphone_______________________end');
  await sees(bob, 'A longer message');
  await picture(alice, 'alice-chat');
  await picture(bob, 'bob-chat');
  assert.ok(await bob.evaluate(() => document.documentElement.scrollWidth <= innerWidth), 'no sideways scrolling on a phone');
  step('harmless');

  await bob.getByRole('button', { name: 'Back to the chats' }).click();
  await say(alice, 'first unread');
  await say(alice, 'second unread');
  await bob.locator(`[data-chat="${room}"] .badge`, { hasText: '2' }).waitFor();
  assert.match(await bob.title(), /^\(2\) /);
  await picture(bob, 'bob-unread');
  // A row that changes between press and release is still clicked.
  await row(bob, room).hover();
  await bob.mouse.down();
  const heard = bob.evaluate(() => new Promise((done) => setTimeout(done, 2_000)));
  await say(alice, 'third unread');
  await heard;
  await bob.mouse.up();
  await sees(bob, 'third unread');
  await bob.waitForFunction(() => document.title === 'SUP console');
  step('unread');

  for (let i = 1; i <= 60; i++) await say(alice, `line ${i}`);
  await sees(bob, 'line 60');
  await alice.waitForFunction(() => !document.querySelector('#log')?.textContent.includes('sending…'));
  await bob.reload();
  await bob.locator('#state.online').waitFor();
  await bob.locator(`[data-chat="${room}"]`).click();
  await sees(bob, 'line 60');
  // The line the list knew is shown at once, the page when it has come.
  await bob.waitForFunction(() => document.querySelectorAll('.message').length !== 1);
  assert.equal(await bob.locator('.message').count(), 50, 'the newest page');
  await bob.getByRole('button', { name: 'Load older messages' }).click();
  await bob.locator('.message .text', { hasText: 'Hello Bob' }).waitFor();
  const shown = await bob.locator('.message').evaluateAll((all) => all.map((m) => Number(m.dataset.seq)));
  assert.deepEqual(shown, shown.map((_, i) => i + 1), 'every message once, in order');
  step('history');

  const team = `team-${Date.now()}`;
  await open(alice, team);
  await back(bob);
  await open(bob, team);
  await say(bob, 'Here I am');
  await sees(alice, 'Here I am');
  await alice.locator('#members-count', { hasText: '2 active' }).waitFor();
  await back(bob);
  const second = await tab(bob.context(), 'bob', 'Bob');
  await say(alice, 'for both of your tabs');
  await say(alice, 'twice');
  for (const page of [bob, second]) {
    await row(page, team).locator('.badge', { hasText: '2' }).waitFor();
    await page.waitForFunction(() => document.title === '(2) SUP console');
  }
  await row(bob, team).click();
  await sees(bob, 'twice');
  await row(second, team).locator('.badge').waitFor({ state: 'detached' });
  assert.equal(await second.title(), 'SUP console');
  await second.close();
  step('two tabs');

  await back(bob);
  await bob.getByRole('button', { name: 'Log out' }).click();
  await bob.getByLabel('User id').waitFor();
  await say(alice, 'see my ticks');
  await ticks(alice, 'see my ticks', 'sent');
  assert.equal(await bubble(alice, 'see my ticks').locator('.ticks').innerText(), '✓\nsent');
  await logIn(bob, 'bob', 'Bob');
  await ticks(alice, 'see my ticks', 'delivered');
  await row(bob, team).locator('.badge', { hasText: '1' }).waitFor();
  await row(bob, team).click();
  await ticks(alice, 'see my ticks', 'read');
  assert.match(await bubble(alice, 'see my ticks').locator('.ticks').innerText(), /^✓✓\s*read$/);
  await hide(bob, true);
  await say(alice, 'nobody looks');
  await bob.waitForFunction(() => document.title === '(1) SUP console');
  await ticks(alice, 'nobody looks', 'delivered');
  await hide(bob, false);
  await ticks(alice, 'nobody looks', 'read');
  step('ticks');

  const writes = 'Alice Ångström is typing…';
  await composer(alice).pressSequentially('Let me');
  await bob.locator('#typing', { hasText: writes }).waitFor();
  await picture(bob, 'bob-typing');
  await composer(alice).fill('');
  await bob.locator('#typing', { hasText: /^$/ }).waitFor({ state: 'attached' });
  await back(bob);
  await composer(alice).pressSequentially('Let me think');
  await row(bob, team).locator('.last.typing', { hasText: writes }).waitFor();
  await picture(bob, 'bob-list-typing');
  await say(alice, 'I have thought');
  await row(bob, team).locator('.last', { hasText: 'Alice Ångström: I have thought' }).waitFor();
  await row(bob, team).click();
  await composer(bob).pressSequentially('hm');
  await alice.locator('#typing', { hasText: 'Bob is typing…' }).waitFor();
  await row(alice, team).locator('.last.typing', { hasText: 'Bob is typing…' }).waitFor();
  await back(bob);
  await alice.locator('#typing', { hasText: /^$/ }).waitFor({ state: 'attached' });
  await row(bob, team).click();
  assert.equal(await composer(bob).inputValue(), 'hm', 'the draft is kept');
  await composer(bob).fill('');
  step('typing');

  const menu = async (page, item) => {
    await page.locator('#me').click();
    await page.getByRole('menuitem', { name: item }).click();
  };
  await back(bob);
  await here(row(alice, room), 'online', /online/);
  await here(row(bob, room), 'online', /online/);
  await alice.locator('#me').click();
  await picture(alice, 'alice-status-menu');
  await alice.keyboard.press('Escape');
  await menu(alice, 'Busy');
  await here(row(bob, room), 'busy', /busy/);
  await menu(alice, 'Status text…');
  await alice.getByLabel('Status text', { exact: true }).fill('in a talk <b>until five</b>');
  await picture(alice, 'alice-status-text');
  await alice.getByRole('button', { name: 'Show it' }).click();
  await here(row(bob, room), 'busy', /busy · in a talk <b>until five<\/b>/);
  await here(alice.locator('#me'), 'busy', /busy · in a talk/);
  await picture(bob, 'bob-list-busy');
  await picture(alice, 'alice-busy');
  await menu(alice, 'Invisible');
  await here(row(bob, room), 'offline', /last seen just now/);
  await here(alice.locator('#me'), 'offline', /invisible/);
  await picture(bob, 'bob-list-last-seen');
  await menu(alice, 'Online');
  await here(row(bob, room), 'online', /online/);
  await menu(alice, 'Status text…');
  await alice.getByLabel('Status text', { exact: true }).fill('');
  await alice.getByRole('button', { name: 'Show it' }).click();
  await here(row(bob, room), 'online', /^online$/);
  await row(bob, team).click();
  step('presence');

  await say(alice, 'a massage with a typo');
  await sees(bob, 'a massage');
  await composer(alice).press('ArrowUp');
  assert.equal(await composer(alice).inputValue(), 'a massage with a typo');
  await picture(alice, 'alice-editing');
  await composer(alice).press('Escape');
  assert.equal(await composer(alice).inputValue(), '');
  await composer(alice).press('ArrowUp');
  await say(alice, 'a message without one');
  await sees(bob, 'a message without one');
  await bubble(bob, 'a message without one').locator('.edited').waitFor();
  await gone(bob, 'a massage');
  await gone(alice, 'a massage');
  assert.equal(await composer(alice).inputValue(), '');
  step('edited');

  await say(alice, 'for nobody');
  await sees(bob, 'for nobody');
  await act(bob, 'for nobody', 'Delete…');
  assert.equal(await bob.getByRole('button', { name: 'Delete for everyone' }).count(), 0, 'not of others');
  await bob.getByRole('button', { name: 'Cancel' }).click();
  await act(alice, 'for nobody', 'Delete…');
  await picture(alice, 'alice-delete');
  await alice.getByRole('button', { name: 'Delete for everyone' }).click();
  await sees(bob, 'This message was deleted');
  await sees(alice, 'You deleted this message');
  await gone(bob, 'for nobody');
  await row(alice, team).locator('.last.gone', { hasText: 'You deleted this message' }).waitFor();
  await act(bob, 'nobody looks', 'Delete…');
  await picture(bob, 'bob-delete');
  await bob.getByRole('button', { name: 'Delete for me' }).click();
  await gone(bob, 'nobody looks');
  await sees(alice, 'nobody looks');
  step('deleted');

  await act(bob, 'a message without one', 'Reply');
  await picture(bob, 'bob-replying');
  await say(bob, 'a reply to it');
  await sees(alice, 'a reply to it');
  const quote = bubble(alice, 'a reply to it').locator('.quote');
  assert.match(await quote.innerText(), /You[\s\S]*a message without one/);
  await quote.click();
  assert.match(await alice.evaluate(() => document.activeElement.textContent), /a message without one/, 'jumped to what it answers');
  await alice.locator('#context').waitFor({ state: 'hidden' });
  await say(alice, 'not for long');
  await sees(bob, 'not for long');
  await act(bob, 'not for long', 'Reply');
  await act(alice, 'not for long', 'Delete…');
  await alice.getByRole('button', { name: 'Delete for everyone' }).click();
  await gone(bob, 'not for long');
  await say(bob, 'too late');
  await bubble(bob, 'too late').locator('.fault', { hasText: 'Not sent: The message it replies to is gone.' }).waitFor();
  await picture(bob, 'bob-refused');
  await bubble(bob, 'too late').getByRole('button', { name: 'Discard' }).click();
  await gone(bob, 'too late');
  step('replied');

  const bell = (page) => page.getByRole('button', { name: /^Notifications/ });
  const rings = (page, n) => page.waitForFunction((n) => document.querySelector('#bell-count').textContent === n, n ? String(n) : '');
  const told = (page) => page.locator('#bell-list > li');
  const window2 = await tab(alice.context(), 'alice', 'Alice Ångström');
  for (const page of [alice, window2]) await rings(page, 1);
  assert.equal(await bell(alice).getAttribute('aria-label'), 'Notifications, 1 unread');
  await act(bob, 'a message without one', 'Reply');
  await say(bob, 'a second reply');
  for (const page of [alice, window2]) await rings(page, 2);
  assert.equal(await alice.title(), 'SUP console', 'the title counts messages');
  await bell(alice).click();
  await told(alice).nth(1).waitFor();
  assert.equal(await told(alice).count(), 2);
  assert.match(await told(alice).first().innerText(), /Bob[\s\S]*Replied to you[\s\S]*Reply · team-[\s\S]*unread/);
  await picture(alice, 'alice-notifications');
  await alice.keyboard.press('Escape');
  await alice.locator('#bell-panel').waitFor({ state: 'hidden' });
  assert.equal(await alice.evaluate(() => document.activeElement.id), 'bell', 'the focus is back');
  await bell(window2).click();
  await told(window2).nth(1).locator('.told-open').click();
  await window2.getByRole('heading', { name: team }).waitFor();
  assert.match(await window2.evaluate(async () => {
    while (!document.activeElement.matches('[data-seq]')) await new Promise((go) => setTimeout(go, 50));
    return document.activeElement.textContent;
  }), /a reply to it/, 'goes to what it is about');
  for (const page of [alice, window2]) await rings(page, 1);
  await bell(alice).click();
  assert.equal(await alice.locator('.told.unread').count(), 1);
  await told(alice).first().getByRole('button', { name: /^Clear/ }).click();
  for (const page of [alice, window2]) await rings(page, 0);
  await alice.waitForFunction(() => document.querySelectorAll('#bell-list > li').length === 1);
  const pile = `pile-${Date.now()}`;
  await open(alice, pile);
  await back(bob);
  await open(bob, pile);
  await say(alice, 'answer this often');
  await sees(bob, 'answer this often');
  for (let i = 1; i <= 22; i++) {
    await act(bob, 'answer this often', 'Reply');
    await say(bob, `reply ${i}`);
    await sees(alice, `reply ${i}`);
  }
  for (const page of [alice, window2]) await rings(page, 22);
  await alice.reload();
  await alice.locator('#state.online').waitFor();
  await rings(alice, 22);
  await bell(alice).click();
  await told(alice).nth(19).waitFor();
  assert.equal(await told(alice).count(), 20, 'a page');
  await picture(alice, 'alice-notifications-many');
  await alice.getByRole('button', { name: 'Older', exact: true }).click();
  await told(alice).nth(22).waitFor();
  assert.equal(await told(alice).count(), 23);
  await alice.getByRole('button', { name: 'Mark all read' }).click();
  for (const page of [alice, window2]) await rings(page, 0);
  await window2.close();
  const phone = await alice.context().newPage();
  await phone.setViewportSize({ width: 390, height: 780 });
  await phone.goto(url);
  await logIn(phone, 'alice', 'Alice Ångström');
  await bell(phone).click();
  await told(phone).nth(19).waitFor();
  await picture(phone, 'alice-notifications-phone');
  assert.ok(await phone.evaluate(() => document.documentElement.scrollWidth <= innerWidth), 'no sideways scrolling on a phone');
  await phone.getByRole('button', { name: 'Clear all' }).click();
  await phone.getByText('Nothing here.').waitFor();
  await alice.getByText('Nothing here.').waitFor();
  await picture(phone, 'alice-notifications-none');
  await phone.close();
  await back(bob);
  await row(bob, team).click();
  step('notified');

  // The browser has no push service here: the subscription is made up, and the worker gets what one would bring.
  const pushed = () => alice.evaluate(async () => (await (await navigator.serviceWorker.ready).getNotifications()).map(({ title, body }) => `${title}: ${body}`));
  const toggle = alice.getByRole('switch', { name: 'Push to this browser' });
  await alice.evaluate(() => { Notification.requestPermission = async () => 'denied'; });
  await toggle.click();
  await alice.getByText('This browser does not allow notifications of this page.').waitFor();
  assert.equal(await toggle.isChecked(), false);
  await picture(alice, 'alice-push-refused');
  await alice.context().grantPermissions(['notifications']);
  await alice.evaluate(async () => {
    Notification.requestPermission = async () => 'granted';
    const base64 = (bytes) => btoa(String.fromCharCode(...bytes)).replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '');
    const { publicKey } = await crypto.subtle.generateKey({ name: 'ECDH', namedCurve: 'P-256' }, true, ['deriveBits']);
    const p256dh = base64(new Uint8Array(await crypto.subtle.exportKey('raw', publicKey)));
    const auth = base64(crypto.getRandomValues(new Uint8Array(16)));
    let made = null;
    PushManager.prototype.getSubscription = async () => made;
    PushManager.prototype.subscribe = async (options) => {
      if (options.applicationServerKey.length !== 65) throw new Error('not a key');
      made = { options, toJSON: () => ({ endpoint: 'https://push.example.com/console', keys: { p256dh, auth } }), unsubscribe: async () => { made = null; } };
      return made;
    };
  });
  await toggle.click();
  await alice.waitForFunction(() => document.querySelector('#push').checked && !document.querySelector('#push').disabled);
  assert.equal(await alice.locator('#push-fault').innerText(), '');
  await picture(alice, 'alice-push-on');
  const cdp = await alice.context().newCDPSession(alice);
  const registered = new Promise((give) => cdp.on('ServiceWorker.workerRegistrationUpdated', ({ registrations: [one] }) => one && give(one)));
  await cdp.send('ServiceWorker.enable');
  const { registrationId, scopeURL } = await registered;
  // What comes to a worker that is not active yet is dropped, as by a push service that finds nobody.
  await alice.evaluate(async () => {
    const { active } = await navigator.serviceWorker.ready;
    if (active.state !== 'activated') await new Promise((give) => active.addEventListener('statechange', give));
  });
  const deliver = (push) => cdp.send('ServiceWorker.deliverPushMessage', { origin: new URL(scopeURL).origin, registrationId, data: JSON.stringify({ userId: 'alice', collapseKey: 'c1', notificationId: 'n', createdAt: new Date().toISOString(), sound: false, ...push }) });
  const until = async (want) => { for (const end = Date.now() + limit; JSON.stringify(await pushed()) !== JSON.stringify(want);) assert.ok(Date.now() < end, `shown: ${await pushed()}`); };
  for (const end = Date.now() + limit; (await pushed()).length === 0 && Date.now() < end;) {
    await deliver({ title: 'Bob', message: 'Replied to you' });
    await alice.waitForTimeout(500);
  }
  await until(['Bob: Replied to you']);
  await deliver({ title: 'Bob', message: 'Mentioned you' });
  await until(['Bob: Mentioned you']);
  await deliver({ title: '', message: '', collapseKey: 'other', withdraw: true });
  await deliver({ title: '', message: '', withdraw: true });
  await until([]);
  await toggle.click();
  await alice.waitForFunction(() => !document.querySelector('#push').checked && !document.querySelector('#push').disabled);
  assert.equal(await alice.locator('#push-fault').innerText(), '');
  await alice.keyboard.press('Escape');
  await alice.context().serviceWorkers()[0].evaluate((chatId) => go({ userId: 'alice', type: 'reply', chatId }).catch(() => {}), team); // only a click may focus a page
  await alice.getByRole('heading', { name: team }).waitFor();
  step('push');

  const pill = (page, text, reaction) => bubble(page, text).locator(`.pill[data-react="${reaction}"]`);
  await act(bob, 'a reply to it', 'React with 👍');
  await pill(alice, 'a reply to it', '👍').filter({ hasText: '👍 1' }).waitFor();
  await pill(alice, 'a reply to it', '👍').click();
  await pill(bob, 'a reply to it', '👍').filter({ hasText: '👍 2' }).waitFor();
  assert.equal(await pill(bob, 'a reply to it', '👍').getAttribute('aria-pressed'), 'true');
  await act(alice, 'a reply to it', 'React with ❤️');
  await pill(bob, 'a reply to it', '❤️').waitFor();
  assert.equal(await pill(bob, 'a reply to it', '❤️').getAttribute('aria-pressed'), 'false', 'not his own');
  await picture(alice, 'alice-reactions');
  await picture(bob, 'bob-reactions');
  await pill(bob, 'a reply to it', '👍').click();
  await pill(alice, 'a reply to it', '👍').filter({ hasText: '👍 1' }).waitFor();
  await alice.reload();
  await alice.locator('#state.online').waitFor();
  await row(alice, team).click();
  await pill(alice, 'a reply to it', '👍').filter({ hasText: '👍 1' }).waitFor();
  assert.equal(await pill(alice, 'a reply to it', '❤️').getAttribute('aria-pressed'), 'true');
  step('reacted');

  const carol = await person('carol', 'Carol', { width: 390, height: 700 }, 'light');
  await open(carol, team);
  await alice.locator('#members-count', { hasText: '3 active' }).waitFor();
  await say(carol, 'Hello from Carol');
  await sees(alice, 'Hello from Carol');
  await say(alice, 'who has read it?');
  await sees(carol, 'who has read it');
  await bubble(alice, 'who has read it').locator('.ticks', { hasText: 'read by 2 of 2' }).click();
  assert.match(await alice.locator('#who').innerText(), /Read by\s+Bob\s+Carol/);
  await picture(alice, 'alice-who');
  await alice.keyboard.press('Escape');
  await alice.getByRole('button', { name: /^Members/ }).click();
  await alice.locator('#active-list [data-user="carol"]', { hasText: 'Carol' }).waitFor();
  await here(alice.locator('#active-list [data-user="carol"]'), 'online', /online/);
  await picture(alice, 'alice-members');
  await picture(carol, 'carol-chat');
  await carol.context().close();
  await here(alice.locator('#others-list [data-user="carol"]'), 'offline', /last seen just now/);
  await picture(alice, 'alice-members-left');
  await alice.getByRole('button', { name: 'Close the members' }).click();
  step('members');

  await alice.getByLabel('Disappears after').selectOption({ value: '60' });
  await say(alice, 'gone in a minute');
  await sees(bob, 'gone in a minute');
  await bubble(bob, 'gone in a minute').locator('.fuse', { hasText: /\d+ s/ }).waitFor();
  await alice.getByLabel('Disappears after').selectOption({ value: '' });
  await picture(alice, 'alice-team');
  await picture(bob, 'bob-team');
  step('disappearing');

  step('restart');
  await alice.locator('#state.connecting').waitFor();
  await say(alice, 'typed while the mesh was away');
  await picture(alice, 'alice-away');
  await input.next();
  await alice.locator('#state.online').waitFor();
  await sees(bob, 'typed while the mesh was away');
  await here(row(alice, room), 'online', /online/);
  await alice.waitForFunction(() => !/sending|waiting/.test(document.querySelector('#log').textContent));
  assert.equal(await alice.locator('.message .text', { hasText: 'typed while' }).count(), 1);
  await picture(alice, 'alice-back');
  step('came back');

  await ticks(alice, 'typed while the mesh was away', 'read');

  await bubble(bob, 'This message has disappeared').waitFor({ timeout: 70_000 });
  await bubble(alice, 'This message has disappeared').waitFor();
  await gone(bob, 'gone in a minute');
  await bob.reload();
  await bob.locator('#state.online').waitFor();
  await row(bob, team).click();
  await sees(bob, 'This message has disappeared');
  assert.equal(await bob.locator('.message .text', { hasText: 'nobody looks' }).count(), 0, 'what one has deleted for oneself stays away');
  assert.ok(await bob.evaluate(() => document.documentElement.scrollWidth <= innerWidth), 'no sideways scrolling on a phone');
  step('disappeared');

  assert.deepEqual(complaints, []);
  step('done');
} finally {
  await browser.close();
  process.stdin.destroy();
}
