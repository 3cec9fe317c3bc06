"""Codes: what people type and paste is understood, and nobody guesses one."""

from __future__ import annotations

import math
import random

import pytest

from server import codes


def test_a_code_has_fifty_bits_and_no_letters_that_look_alike() -> None:
    assert codes.GROUP * codes.GROUPS * math.log2(len(codes.ALPHABET)) >= 50
    assert len(set(codes.ALPHABET)) == len(codes.ALPHABET) == 20
    assert not set(codes.ALPHABET) & set("aeioul01")


def test_every_letter_is_drawn() -> None:
    made = [codes.new(random.Random(seed).choice) for seed in range(200)]
    assert len(set(made)) == 200
    assert {letter for code in made for letter in code} == {*codes.ALPHABET, "-"}
    assert all(codes.read(code) == code for code in made)


@pytest.mark.parametrize(
    "typed",
    [
        "bcdf-ghjk-mnpq",
        "BCDF-GHJK-MNPQ",
        "bcdfghjkmnpq",
        " bcdf ghjk\tmnpq \n",
        "bcdf – ghjk — mnpq",
        "bcdf.ghjk_mnpq",
        "b-c-d-f-g-h-j-k-m-n-p-q",
        "https://meet.example.org/m/bcdf-ghjk-mnpq",
        "https://meet.example.org:8443/m/bcdf-ghjk-mnpq?lang=ru#top",
        "Join us: http://192.0.2.7/m/BCDFGHJKMNPQ?x=/m/no",
        "/m/bcdf-ghjk-mnpq",
    ],
)
def test_whatever_form_is_typed_or_pasted(typed: str) -> None:
    assert codes.read(typed) == "bcdf-ghjk-mnpq"


@pytest.mark.parametrize(
    "typed",
    [
        "",
        "bcdf-ghjk",
        "bcdf-ghjk-mnpqr",
        "acdf-ghjk-mnpq",
        "bcdf-ghjk-mnp1",
        "бcdf-ghjk-mnpq",
        "bcdf/ghjk/mnpq",
        "https://meet.example.org/m/",
        "https://meet.example.org/bcdf-ghjk-mnpq",
        "x" * 1_000_000,
        "-" * 1_000_000,
        "\0bcdf-ghjk-mnpq",
    ],
)
def test_what_is_no_code(typed: str) -> None:
    assert codes.read(typed) is None
