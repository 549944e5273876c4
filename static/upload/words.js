// Sizes, for people.

// 512 bytes, 3.1 MB
export function sizeOf(bytes) {
  const units = ["bytes", "KB", "MB", "GB", "TB"];
  let at = 0;
  for (; bytes >= 1024 && at < units.length - 1; at++) bytes /= 1024;
  return `${at ? bytes.toFixed(1) : Math.round(bytes)} ${units[at]}`;
}
