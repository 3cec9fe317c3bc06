import { ChevronLeft, ChevronRight, Copy, Users } from "lucide-react";
import { useEffect, useMemo, useRef, type ReactNode } from "react";
import { useTranslation } from "react-i18next";
import { besidePager, gallery, pageSize, stripTiles, withStrip, type Box } from "../state/layout";
import { selfOf, sharers, type Person } from "../state/people";
import { inStrip, onPage, pageCount } from "../state/stage";
import { useMeeting, useVisit } from "./context";
import { ScreenTile, Tile } from "./Tile";
import { useCopyLink } from "./useCopyLink";
import { useSize } from "./useSize";

const GAP = 8;

interface Placed {
  readonly person: Person;
  readonly box: Box;
}

/** Everyone's pictures: a gallery in pages, or shared screens with a strip of people. */
export function StageView({ shaded }: { readonly shaded: boolean }): ReactNode {
  const { t } = useTranslation();
  const { store } = useVisit();
  const ref = useRef<HTMLDivElement>(null);
  const size = useSize(ref);
  const people = useMeeting((meeting) => meeting.people);
  const stage = useMeeting((meeting) => meeting.stage);
  const spotlight = useMeeting((meeting) => meeting.rules.spotlight);
  const alone = people.size === 1;

  const room = useMemo(() => besidePager(people.size, size, GAP), [people.size, size]);
  const places = pageSize(room, GAP);
  useEffect(() => store.dispatch({ type: "stage-resized", pageSize: places }), [store, places]);

  const { tiles, screens, paged } = useMemo(() => {
    const place = (identities: readonly string[], boxes: readonly Box[]): Placed[] =>
      identities.flatMap((identity, index) => {
        const person = people.get(identity);
        const box = boxes[index];
        return person && box ? [{ person, box }] : [];
      });
    const shared = sharers(people).filter((person) => !person.self);
    const lit = spotlight.filter((identity) => people.has(identity));
    if (shared.length === 0 && (lit.length === 0 || lit.length === people.size)) {
      const shown = onPage(stage);
      return { tiles: place(shown, gallery(shown.length, room, GAP)), screens: [], paged: true };
    }
    const { main, strip, along } = withStrip(size, GAP);
    const self = selfOf(people)?.identity ?? null;
    // Whom a host has put into the spotlight is large unless somebody shares a screen: that is what all look at.
    const large = shared.length === 0 ? lit : [];
    const rest = { ...stage, order: stage.order.filter((identity) => !large.includes(identity)) };
    const shown = inStrip(rest, stripTiles(rest.order.length, strip, along, GAP).length, self);
    const screenBoxes = shared.length === 1 ? [main] : gallery(shared.length, main, GAP);
    return {
      tiles: [
        ...place(large, gallery(large.length, main, GAP).map((box) => shifted(box, main))),
        ...place(shown, stripTiles(shown.length, strip, along, GAP).map((box) => shifted(box, strip))),
      ],
      screens: shared.flatMap((person, index) => {
        const box = screenBoxes[index];
        return box ? [{ person, box: shifted(box, main) }] : [];
      }),
      paged: false,
    };
  }, [people, stage, size, room, spotlight]);

  return (
    <main className={shaded ? "stage shaded" : "stage"} data-area="stage" tabIndex={-1} aria-label={t("stage.name")}>
      <div className="stage-tiles" ref={ref}>
        {screens.map(({ person, box }) => (
          <ScreenTile key={`screen-${person.identity}`} person={person} box={box} />
        ))}
        {tiles.map(({ person, box }) => (
          <Tile key={person.identity} person={person} box={box} />
        ))}
      </div>
      {alone && !shaded && <Alone />}
      {paged && <Pages page={stage.page} pages={pageCount(stage)} />}
    </main>
  );
}

function Alone(): ReactNode {
  const { t } = useTranslation();
  const visit = useVisit();
  const copy = useCopyLink();
  return (
    <aside className="alone">
      <Users size={22} aria-hidden="true" />
      <div>
        <p className="alone-title">{t("stage.alone")}</p>
        <p>{t("stage.aloneHint")}</p>
        <p className="alone-link">{visit.link()}</p>
      </div>
      <button type="button" className="button main small" onClick={copy}>
        <Copy size={16} aria-hidden="true" />
        {t("invite.copy")}
      </button>
    </aside>
  );
}

function Pages({ page, pages }: { readonly page: number; readonly pages: number }): ReactNode {
  const { t } = useTranslation();
  const { store } = useVisit();
  if (pages < 2) return null;
  const turn = (by: number) => () => store.dispatch({ type: "page-turned", by });
  return (
    <nav className="pages" aria-label={t("stage.pages")}>
      <button type="button" className="icon-button" aria-label={t("stage.previous")} disabled={page === 0} onClick={turn(-1)}>
        <ChevronLeft size={20} aria-hidden="true" />
      </button>
      <span aria-live="polite">{t("stage.page", { page: page + 1, pages })}</span>
      <button type="button" className="icon-button" aria-label={t("stage.next")} disabled={page === pages - 1} onClick={turn(1)}>
        <ChevronRight size={20} aria-hidden="true" />
      </button>
    </nav>
  );
}

function shifted(box: Box, by: Box): Box {
  return { ...box, left: box.left + by.left, top: box.top + by.top };
}
