{
  description = "A terminal chat with a local transformer in which every word can be opened";

  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixos-unstable";

  outputs = { self, nixpkgs }:
    let
      systems = [ "x86_64-linux" "aarch64-linux" "aarch64-darwin" ];
      each = make: nixpkgs.lib.genAttrs systems (system: make nixpkgs.legacyPackages.${system});
      manifest = (nixpkgs.lib.importTOML ./Cargo.toml).package;
    in
    {
      packages = each (pkgs: {
        default = pkgs.rustPlatform.buildRustPackage {
          pname = manifest.name;
          version = manifest.version;
          src = self;
          cargoLock.lockFile = ./Cargo.lock;
          nativeBuildInputs = [ pkgs.cmake pkgs.installShellFiles pkgs.rustPlatform.bindgenHook ];
          dontUseCmakeConfigure = true;
          # Code for any machine of its kind: on Linux llama.cpp's backends are libraries, chosen at start.
          RUSTFLAGS = "";
          buildFeatures = if pkgs.stdenv.isDarwin then [ "metal" ] else [ "dynamic-backends" ];
          # The tests need models; `make test` runs them.
          doCheck = false;
          postInstall = ''
            mkdir -p $out/libexec/glassbox
            mv $out/bin/glassbox $out/libexec/glassbox/
            find target -path '*llama-cpp-sys-2-*/out/*' -name 'lib*.so*' -exec cp -P {} $out/libexec/glassbox/ \;
            ln -s ../libexec/glassbox/glassbox $out/bin/glassbox
            $out/bin/glassbox man man
            installManPage man/*
            installShellCompletion --cmd glassbox \
              --bash <($out/bin/glassbox completions bash) \
              --zsh <($out/bin/glassbox completions zsh) \
              --fish <($out/bin/glassbox completions fish)
          '';
          meta = {
            description = manifest.description;
            license = with nixpkgs.lib.licenses; [ mit asl20 ];
            mainProgram = "glassbox";
          };
        };
      });
    };
}
