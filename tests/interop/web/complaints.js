// Keeps what the page warns of, from before LiveKit's client takes hold of the console.
window.complaints = [];

function plain(word) {
  if (word instanceof Error) return `${word.name}: ${word.message}`;
  return typeof word === 'object' ? '' : String(word);
}

for (const level of ['warn', 'error']) {
  const say = console[level].bind(console);
  console[level] = (...words) => {
    complaints.push(`${level}: ${words.map(plain).join(' ').trim()}`);
    say(...words);
  };
}
addEventListener('error', (event) => complaints.push(`uncaught: ${event.message}`));
addEventListener('unhandledrejection', (event) => complaints.push(`rejected: ${plain(event.reason)}`));
