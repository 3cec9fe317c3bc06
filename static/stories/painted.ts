/** A visit whose pictures are painted instead of received. */

import type { Picture } from "../src/room/liveRoom";
import { hue } from "../src/state/avatar";
import { Visit } from "../src/visit";

export class PaintedVisit extends Visit {
  override showPicture(identity: string, picture: Picture, element: HTMLVideoElement): () => void {
    if (picture === "screen") return show(element, "screen", paintScreen);
    const colour = hue(identity);
    return show(element, `face ${colour}`, (context) => paintFace(context, colour));
  }

  override showPreview(element: HTMLVideoElement): () => void {
    return show(element, "face 210", (context) => paintFace(context, 210));
  }

  override onLevel(listener: (level: number) => void): () => void {
    const timer = setInterval(() => listener(0.55), 100);
    return () => clearInterval(timer);
  }
}

type Paint = (context: CanvasRenderingContext2D) => void;

/** Streams by what they show: sixty of them would be more than the browser can paint. */
const streams = new Map<string, MediaStream>();

function show(element: HTMLVideoElement, picture: string, paint: Paint): () => void {
  const stream = streams.get(picture) ?? painted(paint);
  streams.set(picture, stream);
  element.srcObject = stream;
  return () => {
    element.srcObject = null;
  };
}

function painted(paint: Paint): MediaStream {
  const canvas = document.createElement("canvas");
  canvas.width = 1280;
  canvas.height = 720;
  const context = canvas.getContext("2d");
  if (context) {
    paint(context);
    setInterval(() => paint(context), 200);
  }
  return canvas.captureStream(5);
}

function paintFace(context: CanvasRenderingContext2D, colour: number): void {
  const wall = context.createLinearGradient(0, 0, 1280, 720);
  wall.addColorStop(0, `hsl(${colour} 26% 72%)`);
  wall.addColorStop(1, `hsl(${(colour + 40) % 360} 22% 44%)`);
  context.fillStyle = wall;
  context.fillRect(0, 0, 1280, 720);
  context.fillStyle = `hsl(${(colour + 200) % 360} 30% 32%)`;
  context.beginPath();
  context.ellipse(640, 760, 330, 270, 0, 0, Math.PI * 2);
  context.fill();
  context.fillStyle = "hsl(26 45% 68%)";
  context.beginPath();
  context.ellipse(640, 340, 130, 165, 0, 0, Math.PI * 2);
  context.fill();
  context.fillStyle = `hsl(${(colour + 20) % 50} 35% 22%)`;
  context.beginPath();
  context.ellipse(640, 250, 142, 110, 0, Math.PI, 0);
  context.fill();
}

function paintScreen(context: CanvasRenderingContext2D): void {
  context.fillStyle = "#ffffff";
  context.fillRect(0, 0, 1280, 720);
  context.fillStyle = "#20304f";
  context.fillRect(90, 80, 520, 44);
  context.fillStyle = "#c9d2e4";
  for (let line = 0; line < 5; line += 1) context.fillRect(90, 170 + line * 34, 480 - (line % 3) * 70, 14);
  context.fillStyle = "#2f5bea";
  [180, 260, 220, 340, 420].forEach((height, bar) => context.fillRect(690 + bar * 100, 620 - height, 62, height));
}
