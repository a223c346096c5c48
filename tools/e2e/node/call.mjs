// Two people on the console page call each other, in a real browser with the browser's own made-up camera. Driven by
// tools/e2e's test: node call.mjs URL [FOLDER] prints one line per step; at "restart" it waits for a line on standard input
// while the mesh, and the TURN server with it, is killed and started again. FOLDER, if given, gets pictures.
import assert from 'node:assert/strict';
import { createInterface } from 'node:readline';
import { chromium } from 'playwright-core';

const [url, folder] = process.argv.slice(2);
const input = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const step = (name) => process.stdout.write(`${name}\n`);
const room = `room-${Date.now()}`;

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  args: [
    '--no-sandbox', '--disable-gpu', '--disable-background-networking', '--disable-quic', '--no-first-run', '--disable-component-update', '--disable-sync',
    '--use-fake-device-for-media-stream', '--use-fake-ui-for-media-stream', '--autoplay-policy=no-user-gesture-required',
  ],
});

const complaints = [];
async function person(user, name, viewport, colorScheme) {
  const context = await browser.newContext({ viewport, colorScheme, locale: 'en-GB' });
  const page = await context.newPage();
  page.setDefaultTimeout(90_000);
  page.on('pageerror', (error) => complaints.push(`${user}: ${error}`));
  page.on('console', (m) => {
    // While the mesh is away the browser itself reports the failed requests.
    if (m.type() === 'error' && !/ERR_CONNECTION_REFUSED|WebSocket connection|ERR_EMPTY_RESPONSE|ERR_CONNECTION_RESET|ERR_SOCKET_NOT_CONNECTED|ERR_INCOMPLETE_CHUNKED/.test(m.text())) complaints.push(`${user}: ${m.text()}`);
  });
  const answer = await page.goto(`${url}?relay=1`);
  assert.match(answer.headers()['content-security-policy'], /^default-src 'none'; script-src 'self';/);
  await page.getByLabel('User id').fill(user);
  await page.getByLabel('Display name').fill(name);
  await page.getByRole('button', { name: 'Log in' }).click();
  await page.locator('#state.online').waitFor();
  await page.getByLabel('Chat id to open').fill(room);
  await page.getByRole('button', { name: 'Open', exact: true }).click();
  await page.getByRole('heading', { name: room }).waitFor();
  return page;
}

const state = (page, state, words) => page.locator(`#call-state[data-state="${state}"]`, { hasText: words }).waitFor();
const press = (page, name) => page.getByRole('button', { name, exact: true }).click();
const picture = (page, name) => (folder ? page.screenshot({ path: `${folder}/${name}.png` }) : undefined);
const rings = (page, type) => page.locator('#incoming[open]', { hasText: type }).waitFor();
const silent = (page) => page.locator('#incoming').waitFor({ state: 'hidden' });
const history = (page, words) => page.locator('.past').first().filter({ hasText: words }).waitFor();

/** Pictures move, sound and pictures come in, and the media go between two relays. */
async function talks(page) {
  await state(page, 'connected', 'Connected');
  const at = await page.evaluate(() => document.getElementById('call-remote').currentTime);
  await page.waitForFunction((at) => {
    const video = document.getElementById('call-remote');
    return video.currentTime > at + 0.5 && video.videoWidth > 0;
  }, at);
  await page.waitForFunction(() => document.getElementById('call-state').dataset.local === 'relay' && document.getElementById('call-state').dataset.remote === 'relay');
  // The count is of the pair of candidates in use: it begins again with another pair.
  await page.evaluate(() => { window.leastBytes = Infinity; });
  await page.waitForFunction(() => {
    const bytes = Number(document.getElementById('call-state').dataset.bytes);
    window.leastBytes = Math.min(window.leastBytes, bytes);
    return bytes > window.leastBytes + 1_000;
  });
  await page.locator('#call-path', { hasText: /^\d+:\d\d · relayed$/ }).waitFor();
}

try {
  const alice = await person('alice', 'Alice Ångström', { width: 1180, height: 760 }, 'light');
  const bob = await person('bob', 'Bob', { width: 390, height: 780 }, 'dark');
  for (const page of [alice, bob]) await page.locator('#call-buttons').waitFor();
  await bob.getByLabel('Message', { exact: true }).fill('Call me');
  await bob.keyboard.press('Enter');
  await alice.locator('.message', { hasText: 'Bob' }).filter({ hasText: 'Call me' }).waitFor();
  step('logged in');

  await press(alice, 'Video call');
  await state(alice, 'ringing', 'Ringing…');
  await rings(bob, 'Video call');
  await bob.keyboard.press('Escape');
  await rings(bob, 'Alice Ångström');
  await picture(alice, 'call-ringing');
  await picture(bob, 'call-incoming');
  await press(bob, 'Accept');
  await Promise.all([talks(alice), talks(bob)]);
  await picture(alice, 'call-alice');
  await picture(bob, 'call-bob');
  step('talking');

  await press(alice, 'Mute');
  assert.equal(await alice.locator('#call-mute').getAttribute('aria-pressed'), 'true');
  await press(alice, 'Mute');
  assert.equal(await alice.locator('#call-mute').getAttribute('aria-pressed'), 'false');
  await press(bob, 'Camera off');
  assert.equal(await bob.locator('#call-camera').getAttribute('aria-pressed'), 'true');
  await press(bob, 'Camera off');
  assert.equal(await alice.getByRole('button', { name: 'Video call' }).isDisabled(), true, 'one call at a time');
  step('muted');

  // The page may reconnect while nobody looks: it notes each state.
  for (const page of [alice, bob]) {
    await page.evaluate(() => {
      const line = document.getElementById('call-state');
      window.callStates = [line.dataset.state];
      new MutationObserver(() => window.callStates.push(line.dataset.state)).observe(line, { attributes: true, attributeFilter: ['data-state'] });
    });
  }
  step('restart');
  await input.next();
  for (const page of [alice, bob]) await page.locator('#state.online').waitFor({ state: 'attached' });
  await Promise.all([alice, bob].map((page) => page.waitForFunction(() => window.callStates.includes('reconnecting'))));
  await picture(alice, 'call-reconnecting');
  await Promise.all([talks(alice), talks(bob)]);
  step('came back');

  await press(bob, 'Hang up');
  await state(alice, 'over', 'The call is over.');
  await alice.locator('#call').waitFor({ state: 'hidden' });
  await bob.locator('#call').waitFor({ state: 'hidden' });
  for (const page of [alice, bob]) {
    assert.equal(await page.evaluate(() => document.getElementById('call-local').srcObject), null, 'the camera is off');
  }
  step('over');

  await alice.getByText('Calls', { exact: true }).click();
  await history(alice, /↗ Video call · \d+:\d\d/);
  await press(alice, 'Audio call');
  await rings(bob, 'Audio call');
  await press(bob, 'Decline');
  await silent(bob);
  await state(alice, 'over', 'Bob declined');
  await history(alice, 'declined');
  step('declined');

  await alice.getByRole('button', { name: 'Call Bob again' }).first().click();
  await rings(bob, 'Audio call');
  await press(alice, 'Hang up');
  await silent(bob);
  await history(alice, 'cancelled');
  await press(bob, 'Back to the chats');
  await bob.getByText(/^Calls/).click();
  await bob.locator('#history-count', { hasText: '1 missed' }).waitFor();
  await bob.locator('.past.missed', { hasText: 'Missed audio call' }).waitFor();
  await picture(alice, 'call-history');
  await picture(bob, 'call-missed');
  assert.ok(await bob.evaluate(() => document.documentElement.scrollWidth <= innerWidth), 'no sideways scrolling on a phone');
  step('missed');

  assert.deepEqual(complaints, []);
  step('done');
} finally {
  await browser.close();
  process.stdin.destroy();
}
