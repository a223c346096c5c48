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
const limit = 20_000;

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  args: ['--no-sandbox', '--disable-gpu', '--disable-background-networking', '--disable-quic', '--no-first-run', '--disable-component-update', '--disable-sync'],
});

const complaints = [];
async function person(user, name, viewport, colorScheme) {
  const context = await browser.newContext({ viewport, colorScheme, locale: 'en-GB', hasTouch: viewport.width < 500 });
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
  await page.getByLabel('User id').fill(user);
  await page.getByLabel('Display name').fill(name);
  await page.getByRole('button', { name: 'Log in' }).click();
  await page.locator('#state.online').waitFor();
  return page;
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
  await bob.locator(`[data-chat="${room}"]`).click();
  await sees(bob, 'second unread');
  await bob.waitForFunction(() => document.title === 'SUP console');
  step('unread');

  for (let i = 1; i <= 60; i++) await say(alice, `line ${i}`);
  await sees(bob, 'line 60');
  await alice.waitForFunction(() => !document.querySelector('#log')?.textContent.includes('sending…'));
  await bob.reload();
  await bob.locator('#state.online').waitFor();
  await bob.locator(`[data-chat="${room}"]`).click();
  await sees(bob, 'line 60');
  assert.equal(await bob.locator('.message').count(), 50, 'the newest page');
  await bob.getByRole('button', { name: 'Load older messages' }).click();
  await bob.locator('.message .text', { hasText: 'Hello Bob' }).waitFor();
  const shown = await bob.locator('.message').evaluateAll((all) => all.map((m) => Number(m.dataset.seq)));
  assert.deepEqual(shown, shown.map((_, i) => i + 1), 'every message once, in order');
  step('history');

  step('restart');
  await alice.locator('#state.connecting').waitFor();
  await say(alice, 'typed while the mesh was away');
  await picture(alice, 'alice-away');
  await input.next();
  await alice.locator('#state.online').waitFor();
  await sees(bob, 'typed while the mesh was away');
  await alice.waitForFunction(() => !/sending|waiting/.test(document.querySelector('#log').textContent));
  assert.equal(await alice.locator('.message .text', { hasText: 'typed while' }).count(), 1);
  await picture(alice, 'alice-back');
  step('came back');

  assert.deepEqual(complaints, []);
  step('done');
} finally {
  await browser.close();
  process.stdin.destroy();
}
