import { expect, test } from "vitest";
import { readCode } from "../src/pages/code";

test.each([
  "bcdf-ghjk-mnpq",
  "BCDF GHJK MNPQ",
  " bcdfghjkmnpq\n",
  "https://meet.example/m/bcdf-ghjk-mnpq?lang=ru#x",
  "bcdf–ghjk–mnpq",
])("reads %j", (typed) => {
  expect(readCode(typed)).toBe("bcdf-ghjk-mnpq");
});

test.each(["", "bcdf-ghjk", "bcdf-ghjk-mnpq-x", "abcd-efgh-ijkl", "https://meet.example/other", "бвгд-жзкл-мнпр"])(
  "finds no code in %j",
  (typed) => {
    expect(readCode(typed)).toBeNull();
  },
);
