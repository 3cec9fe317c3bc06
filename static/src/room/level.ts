/** Measures how loud a microphone is. */

/** Twenty times a second looks live and costs nothing. */
const INTERVAL = 50;
/** Decibels of full scale that are shown as silence and as full. */
const QUIET = -60;
const FULL = -12;

export type LevelListener = (level: number) => void;

let shared: AudioContext | null = null;

/** Reports the level, 0 to 1, of a track; measures a copy, so that a muted track is still heard here. */
export function watchLevel(track: MediaStreamTrack, listener: LevelListener): () => void {
  const context = sharedContext();
  const copy = track.clone();
  copy.enabled = true;
  const source = context.createMediaStreamSource(new MediaStream([copy]));
  const analyser = context.createAnalyser();
  analyser.fftSize = 1024;
  source.connect(analyser);
  const samples = new Float32Array(analyser.fftSize);
  const timer = setInterval(() => {
    analyser.getFloatTimeDomainData(samples);
    listener(levelOf(samples));
  }, INTERVAL);
  return () => {
    clearInterval(timer);
    source.disconnect();
    copy.stop();
    listener(0);
  };
}

/** One context for the page: browsers allow few. It waits for a gesture where the browser demands one. */
export function sharedContext(): AudioContext {
  shared ??= new AudioContext();
  const context = shared;
  if (context.state === "suspended") {
    const resume = (): void => void context.resume().catch(() => undefined);
    resume();
    document.addEventListener("pointerdown", resume, { once: true });
    document.addEventListener("keydown", resume, { once: true });
  }
  return context;
}

function levelOf(samples: Float32Array): number {
  let sum = 0;
  for (const sample of samples) sum += sample * sample;
  const decibels = 10 * Math.log10(sum / samples.length + 1e-10);
  return Math.min(1, Math.max(0, (decibels - QUIET) / (FULL - QUIET)));
}
