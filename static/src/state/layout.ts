/** Where tiles go: the arrangement of equal tiles that wastes the least of a container. */

export interface Size {
  readonly width: number;
  readonly height: number;
}

export interface Box extends Size {
  readonly left: number;
  readonly top: number;
}

/** The most tiles that a page of the gallery shows. */
export const MOST_TILES = 49;
/** Narrower than this a tile is no longer a face with a readable name. */
const SMALLEST_TILE = 132;
const WIDE = 16 / 9;
/** A tile may be a little wider than the picture in it, to leave no bare edge: that cuts 6 % of its height. */
const WIDEST = 1.9;
/** Tiles may become square in a tall container: a phone held upright. */
const TALL = 1;

/** Boxes of `count` equal tiles in reading order; the last row is centred. Sizes in CSS pixels. */
export function gallery(count: number, container: Size, gap: number): Box[] {
  if (count <= 0 || container.width <= 0 || container.height <= 0) return [];
  const { columns, tile } = bestGrid(count, container, gap);
  const rows = Math.ceil(count / columns);
  const top = (container.height - rows * tile.height - (rows - 1) * gap) / 2;
  return Array.from({ length: count }, (_, index) => {
    const row = Math.floor(index / columns);
    const inRow = row === rows - 1 ? count - row * columns : columns;
    const left = (container.width - inRow * tile.width - (inRow - 1) * gap) / 2;
    return {
      left: Math.round(left + (index % columns) * (tile.width + gap)),
      top: Math.round(top + row * (tile.height + gap)),
      width: Math.floor(tile.width),
      height: Math.floor(tile.height),
    };
  });
}

/** How many tiles a page holds so that none is too small; at least 1, at most MOST_TILES. */
export function pageSize(container: Size, gap: number): number {
  if (container.width <= 0 || container.height <= 0) return MOST_TILES;
  for (let count = MOST_TILES; count > 1; count -= 1) {
    if (bestGrid(count, container, gap).tile.width >= SMALLEST_TILE) return count;
  }
  return 1;
}

/** Height of the bar that turns pages, in CSS pixels. */
const PAGER = 52;

/** The part of the container that tiles may use: all of it while one page holds them, else less the bar below. */
export function besidePager(count: number, container: Size, gap: number): Size {
  if (count <= pageSize(container, gap)) return container;
  return { width: container.width, height: Math.max(0, container.height - PAGER) };
}

/** How the stage is cut when a screen is shared: the screen, and a strip beside or below it. */
export function withStrip(container: Size, gap: number): { main: Box; strip: Box; along: "row" | "column" } {
  const { width, height } = container;
  if (width >= height * 1.2) {
    const stripWidth = Math.round(Math.min(260, Math.max(120, width * 0.2)));
    return {
      main: { left: 0, top: 0, width: Math.max(0, width - stripWidth - gap), height },
      strip: { left: width - stripWidth, top: 0, width: stripWidth, height },
      along: "column",
    };
  }
  const stripHeight = Math.round(Math.min(170, Math.max(84, height * 0.18)));
  return {
    main: { left: 0, top: 0, width, height: Math.max(0, height - stripHeight - gap) },
    strip: { left: 0, top: height - stripHeight, width, height: stripHeight },
    along: "row",
  };
}

/** Boxes of the strip's tiles within the strip, and how many fit. */
export function stripTiles(count: number, strip: Size, along: "row" | "column", gap: number): Box[] {
  const tile =
    along === "column"
      ? { width: strip.width, height: Math.round(strip.width / WIDE) }
      : { width: Math.round(strip.height * 1.4), height: strip.height };
  const room = along === "column" ? strip.height : strip.width;
  const step = (along === "column" ? tile.height : tile.width) + gap;
  const shown = Math.min(count, Math.max(1, Math.floor((room + gap) / step)));
  const start = Math.max(0, Math.round((room - shown * step + gap) / 2));
  return Array.from({ length: shown }, (_, index) => ({
    left: along === "column" ? 0 : start + index * step,
    top: along === "column" ? start + index * step : 0,
    ...tile,
  }));
}

function bestGrid(count: number, container: Size, gap: number): { columns: number; tile: Size } {
  let best = { columns: 1, tile: { width: 0, height: 0 } };
  for (let columns = 1; columns <= count; columns += 1) {
    const rows = Math.ceil(count / columns);
    const cell = {
      width: (container.width - (columns - 1) * gap) / columns,
      height: (container.height - (rows - 1) * gap) / rows,
    };
    if (cell.width <= 0 || cell.height <= 0) continue;
    const tile = fit(cell);
    if (tile.width * tile.height > best.tile.width * best.tile.height + 1) best = { columns, tile };
  }
  return best;
}

/** The largest tile in a cell with an aspect between TALL and WIDEST. */
function fit(cell: Size): Size {
  const aspect = Math.min(WIDEST, Math.max(TALL, cell.width / cell.height));
  const width = Math.min(cell.width, cell.height * aspect);
  return { width, height: width / aspect };
}
