// Light, dark, or as the system says; remembered here, where the browser lets it be.
const KEY = 'credence-theme';

function remembered() {
  try {
    return localStorage.getItem(KEY) ?? 'system';
  } catch {
    return 'system';
  }
}

function remember(theme) {
  try {
    localStorage.setItem(KEY, theme);
  } catch {
    // It holds for this visit, then.
  }
}

/** Ties the choice to the page. */
export function theme(select) {
  const apply = () => {
    document.documentElement.dataset.theme = select.value;
  };
  select.value = remembered();
  if (select.selectedIndex < 0) select.value = 'system';
  select.addEventListener('change', () => {
    apply();
    remember(select.value);
  });
  apply();
}
