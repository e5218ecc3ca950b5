// What the scripts of this folder share.

import assert from "node:assert/strict";

/** Values as plain text: a bigint is written with an n. */
export const plain = (value) =>
  JSON.stringify(value, (_, inner) => (typeof inner === "bigint" ? `${inner}n` : inner));

export function equal(found, expected, what) {
  assert.equal(plain(found), plain(expected), what);
}

export async function failure(work, pattern, what) {
  await assert.rejects(work, (error) => {
    assert.match(String(error.message), pattern, what);
    return true;
  });
}

export function address() {
  const url = new URL(process.argv[2]);
  return { host: url.hostname, port: Number(url.port) };
}

export const isSecure = () => process.argv[2].startsWith("https:");

export function credentials() {
  const username = process.env.WATERSHED_TEST_USER;
  return username === undefined ? {} : { username, password: process.env.WATERSHED_TEST_PASSWORD ?? "" };
}
