# build/bin/chromium, chromedriver: the browser in which the tests look at pages, and its driver.
OUTPUTS="build/bin/chromium build/bin/chromedriver"
SYSTEM="chromium=chromium chromedriver=chromium-driver"

build() {
    ln -sf "$(command -v chromium)" build/bin/chromium
    ln -sf "$(command -v chromedriver)" build/bin/chromedriver
}
