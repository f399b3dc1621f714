@echo off
rem The same as the Makefile, for Windows: make demo, make test, make check.
setlocal
cd /d "%~dp0"
set VENV=.venv
set BIN=%VENV%\Scripts
set OMP_NUM_THREADS=1

if "%1"=="" goto help
if not exist %BIN%\python.exe (
    py -3 -m venv %VENV% || python -m venv %VENV% || exit /b 1
)
if not exist %VENV%\.ready (
    echo Installing unplateau and what it needs into %VENV% ^(PyTorch is large: a few minutes^) ...
    %BIN%\python -m pip install --quiet --disable-pip-version-check -e ".[dev]" || exit /b 1
    echo ready> %VENV%\.ready
)
if "%1"=="demo" goto demo
if "%1"=="test" goto test
if "%1"=="check" goto check
if "%1"=="bench-quick" goto bench-quick

:help
echo make demo    set up, then the whole story on drawn persons: a stall, its cause, the solutions, the winner, a report
echo make test    set up and run all tests
echo make check   format, lint, types, layers, fast tests
echo make bench-quick  the main speed ratios against wide limits, a minute or two
exit /b 0

:bench-quick
%BIN%\python benchmarks\quick.py
exit /b %ERRORLEVEL%

:demo
set OMP_NUM_THREADS=
%BIN%\unplateau demo
exit /b %ERRORLEVEL%

:test
%BIN%\python -m pytest -n 2
exit /b %ERRORLEVEL%

:check
%BIN%\ruff format --check . && %BIN%\ruff check . && %BIN%\mypy && %BIN%\lint-imports && %BIN%\python -m pytest -n 2 -m "not slow"
exit /b %ERRORLEVEL%
