class Glassbox < Formula
  desc "@DESCRIPTION@"
  homepage "@URL@"
  version "@VERSION@"
  license any_of: ["MIT", "Apache-2.0"]

  on_macos do
    depends_on arch: :arm64
    url "@URL@/releases/download/v@VERSION@/@NAME@-@VERSION@-aarch64-apple-darwin.tar.gz"
    sha256 "@MACOS_ARM64@"
  end

  on_linux do
    on_intel do
      url "@URL@/releases/download/v@VERSION@/@NAME@-@VERSION@-x86_64-unknown-linux-gnu.tar.gz"
      sha256 "@LINUX_X86_64@"
    end
    on_arm do
      url "@URL@/releases/download/v@VERSION@/@NAME@-@VERSION@-aarch64-unknown-linux-gnu.tar.gz"
      sha256 "@LINUX_ARM64@"
    end
  end

  # The program finds its libraries beside itself, through a link too.
  def install
    man1.install Dir["man/*.1"]
    bash_completion.install "completions/glassbox.bash" => "glassbox"
    zsh_completion.install "completions/_glassbox"
    fish_completion.install "completions/glassbox.fish"
    libexec.install Dir["glassbox", "lib*"]
    pkgshare.install "config.example.toml", "themes"
    bin.install_symlink libexec/"glassbox"
  end

  test do
    assert_match version.to_s, shell_output("#{bin}/glassbox --version")
  end
end
