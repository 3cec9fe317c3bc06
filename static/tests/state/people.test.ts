import { expect, test } from "vitest";
import { listOrder, NOBODY, reducePeople, selfOf, sharers, type People, type Person } from "../../src/state/people";
import { person } from "../person";

function of(...people: Person[]): People {
  return reducePeople(NOBODY, { type: "people-replaced", people });
}

test("a change keeps the order of arrival", () => {
  const people = reducePeople(of(person("a"), person("b")), { type: "person-changed", person: person("a", { microphone: "muted" }) });
  expect([...people.keys()]).toEqual(["a", "b"]);
  expect(people.get("a")?.microphone).toBe("muted");
});

test("a change that changes nothing answers the same people, so that nothing is drawn anew", () => {
  const people = of(person("a"));
  expect(reducePeople(people, { type: "person-changed", person: person("a") })).toBe(people);
  expect(reducePeople(people, { type: "person-left", identity: "b" })).toBe(people);
});

test.each([
  ["name", { name: "new" }],
  ["role", { role: "host" }],
  ["microphone", { microphone: "none" }],
  ["camera", { camera: null }],
  ["paused", { paused: true }],
  ["screen", { screen: "screen" }],
  ["quality", { quality: "lost" }],
] as const)("a new %s is a change", (_, change) => {
  const people = of(person("a"));
  expect(reducePeople(people, { type: "person-changed", person: person("a", change) })).not.toBe(people);
});

test("who comes is last, who leaves is gone, and coming back everybody is replaced", () => {
  const joined = reducePeople(of(person("a")), { type: "person-changed", person: person("b") });
  expect([...joined.keys()]).toEqual(["a", "b"]);
  expect([...reducePeople(joined, { type: "person-left", identity: "a" }).keys()]).toEqual(["b"]);
  expect([...reducePeople(joined, { type: "people-replaced", people: [person("c")] }).keys()]).toEqual(["c"]);
});

test("the list shows oneself, hosts, co-hosts, those who can be heard, and the rest, each by name", () => {
  const people = of(
    person("5", { name: "Яна", microphone: "muted" }),
    person("6", { name: "ёлка", microphone: "muted" }),
    person("4", { name: "Участник 10" }),
    person("3", { name: "Участник 2" }),
    person("2", { role: "cohost", microphone: "muted" }),
    person("1", { role: "host" }),
    person("0", { self: true, microphone: "none" }),
  );
  expect(listOrder(people, "ru").map(({ identity }) => identity)).toEqual(["0", "1", "2", "3", "4", "6", "5"]);
});

test("finds oneself and who shares", () => {
  const people = of(person("a"), person("b", { self: true }), person("c", { screen: "s" }));
  expect(selfOf(people)?.identity).toBe("b");
  expect(selfOf(NOBODY)).toBeNull();
  expect(sharers(people).map(({ identity }) => identity)).toEqual(["c"]);
});
